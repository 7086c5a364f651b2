# SPDX-License-Identifier: BSD-3-Clause
"""Configuration space of PCI across jumps of Linux, with a device behind a root port."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.linux.archive import write_archive
from khorig.linux.user_space import compile_static
from khorig.pytest_plugin import built_peer

_KERNELS = ("linux-7.3", "linux-7.3")
# Firmware does not number buses; Linux counts them down, and up with pci=assign-busses.
DEVICES = (
    *("-device", "pcie-root-port,id=first,chassis=1,addr=4.0"),
    *("-device", "pcie-root-port,id=second,chassis=2,addr=5.0"),
    *("-device", "edu,bus=second"),
)


def changes(result: RigResult) -> dict[str, list[str]]:
    """The texts of what changed, by the stop at which it was seen."""
    return {
        f"{look['gen']} {look['at']}": [change["text"] for change in look["changes"]]
        for look in result.pci
    }


def test_a_bus_number_that_changes_is_seen_with_the_device_that_moves(rig: Rig) -> None:
    result = rig.run(
        "q35",
        kernels=_KERNELS,
        linux_options=("2:pci=assign-busses",),
        extra_qemu=DEVICES,
    )
    result.expect_pass()
    assert changes(result) == {
        "2 restored": [
            "00:04.0 bus numbers 0x20200 -> 0x10100",
            "00:05.0 bus numbers 0x10100 -> 0x20200",
            "02:00.0 function 01:00.0 -> 02:00.0",
        ]
    }


@pytest.fixture(name="archive")
def archive_with_program(tmp_path: Path) -> Path:
    peer = built_peer("x86_64", "linux-7.3")
    program = compile_static(peer, [Path(__file__).parent / "bus_master.c"], [], "bus_master.c")
    write_archive(tmp_path / "more.cpio", {"bus_master": program}, ())
    return tmp_path / "more.cpio"


def test_bus_mastering_that_linux_switches_off_goes_before_its_jump(
    rig: Rig, archive: Path
) -> None:
    """Without a preserved device that is as it should be: pci_device_shutdown()."""
    result = rig.run(
        "q35",
        kernels=_KERNELS,
        programs=("1:/bus_master 0000:01:00.0",),
        extra_initrd=str(archive),
        extra_qemu=DEVICES,
    )
    result.expect_pass()
    assert changes(result) == {"1 jump": ["01:00.0 command 0x6 -> 0x2 (bus mastering off)"]}
