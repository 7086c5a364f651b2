# SPDX-License-Identifier: BSD-3-Clause
"""Chains whose Linux loads the next kernel with flags of kexec_file_load."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict


@each_arch
def test_a_linux_loads_with_the_flags_and_reports_them(rig: Rig, machine: str) -> None:
    """The kernel's log has the sum of all flags, which the rig's expectations want."""
    kernels = ("linux-7.2", "linux-7.3", "khorig")
    flags = ("no-cma", "1:force-dtb")
    rig.run(machine, kernels=kernels, kexec_flags=flags).expect_pass()


@each_arch
def test_a_khorig_needs_no_initramfs_to_be_the_last(rig: Rig, machine: str) -> None:
    kernels = ("linux-7.3", "khorig")
    rig.run(machine, kernels=kernels, kexec_flags=("no-initramfs",)).expect_pass()


@pytest.mark.parametrize("machine", ["q35"])
def test_a_linux_without_initramfs_panics_for_want_of_init(rig: Rig, machine: str) -> None:
    kernels = ("linux-7.3", "linux-7.3")
    found = rig.run(machine, kernels=kernels, kexec_flags=("no-initramfs",))
    assert found.verdict is Verdict.CRASH
    [finding] = found.findings
    assert finding.generation == 2 and "No working init found" in finding.what
    assert found.statistics.jumps[0].pages > 1000, "its entry was compared before it died"
