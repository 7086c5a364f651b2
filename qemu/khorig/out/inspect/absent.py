# SPDX-License-Identifier: BSD-3-Clause
"""What there is to print of memory without a handover: where it was looked for, and what a kernel
needs to have one."""

from __future__ import annotations

from typing import Iterator

from khorig.kho.anchors import Findings
from khorig.out.text import size


def looked_lines(found: Findings) -> Iterator[str]:
    """Each place that could name a root, in the order of docs/inspect.md."""
    yield "setup_data of type 10 (SETUP_KEXEC_KHO), where boot_params of x86_64 point to"
    yield "/chosen/linux,kho-fdt in a device tree (arm64)"
    yield 'device trees at page starts that have compatible = "kho-v..."'
    yield f"in {size(found.looked_at)}, all that the file has bytes for"


def needed_lines() -> Iterator[str]:
    """What has to be on for Linux to have a handover (kernel/liveupdate/Kconfig)."""
    yield "CONFIG_KEXEC_HANDOVER=y, which stock kernels of Debian do not have"
    yield "kho=on on the command line, unless CONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT=y"
    yield "before Linux 7.1 also: echo 1 > /sys/kernel/debug/kho/out/finalize"
    yield "a dump with kernel pages and the page cache: makedumpfile -d 1, not -d 31"
