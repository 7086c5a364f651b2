# SPDX-License-Identifier: BSD-3-Clause
"""The command that does a run again has all that the run depends on."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.run.rerun import rerun_command


def test_what_every_run_has() -> None:
    assert rerun_command(KhorigRun("x86_64", "q35")) == (
        "scripts/khorig run --machine q35 --scenario handover --generations 3 --mem 256M "
        "--seed 0x5eed0001 --timeout 60"
    )


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"stops": ()}, "--stops none"),
        ({"stops": ("sealed", "refused")}, "--stops sealed,refused"),
        ({"fault": "write-after-seal"}, "--fault write-after-seal"),
        ({"tamper": "node-shared"}, "--tamper node-shared"),
        ({"memory": (256 << 20) + 1024}, "--mem 262145K"),
        ({"memory": 6 << 30}, "--mem 6144M"),
        ({"boot": "uefi"}, "--boot uefi"),
        ({"smp": 4}, "--smp 4"),
        ({"timeout_s": 2.5}, "--timeout 2.5"),
        ({"extra_options": ("a=1", "b=x y")}, "--append a=1 --append 'b=x y'"),
        ({"extra_qemu": ("-d", "int")}, "-- -d int"),
        ({"kernels": ("linux", "khorig", "linux")}, "--chain linux,khorig,linux"),
        ({"kernels": ("linux",), "linux_options": ("2:a", "b")},
         "--linux-append 2:a --linux-append b"),
        ({"kernels": ("linux",), "extra_initrd": "/x.cpio"}, "--initrd /x.cpio"),
        ({"kernels": ("linux",), "counted": True}, "--count"),
    ],
)  # fmt: skip
def test_what_is_not_the_default_is_there(fields: dict[str, Any], words: str) -> None:
    kind = ChainRun if "kernels" in fields else KhorigRun
    command = rerun_command(kind("x86_64", "q35", **fields))
    assert f" {words} " in f"{command} "
    assert command.startswith("scripts/khorig linux run ") == ("kernels" in fields)
