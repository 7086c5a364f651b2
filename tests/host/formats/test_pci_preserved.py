# SPDX-License-Identifier: BSD-3-Clause
"""Devices in pci-v2 stay as they were; those that are not in it may change."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from formats.luo_image import LuoImage

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.machine import MachineFacts
from khorig.guest.pci_config import PciConfig, PciLooks, PciRegisters
from khorig.kho.snapshot import Snapshot
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import PCI_PRESERVED
from khorig.rules.protocol.pci_preserved import check_pci, preserved_devices
from khorig.rules.stop import Stop
from khorig.run.judge import RunJudge
from khorig.run.judging import StopContext
from khorig.run.make_stop import make_stop

LINUX, MACHINE = "linux-7.3", MachineFacts("x86_64", "q35", 1 << 30)
_PORT = {"command": 7, "bus numbers": 0x10100, "ACS control": 0x1D, "device control 2": 0x20}
_EDU = {"command": 6, "BAR 0": 0x40200000}


def snapshot(*devices: int) -> Snapshot:
    image = LuoImage()
    slots = b"".join(struct.pack("<IHH", 0, device, 1) for device in devices)
    content = struct.pack("<II", len(devices), len(devices)) + slots
    image.flb("pci-v2", image.blob(content), 1)
    return image.finish().snapshot()


def config(edu: int = 0x100, port: dict[str, int] | None = None, **change: int) -> PciConfig:
    values = {**_EDU, **{name.replace("_", " "): value for name, value in change.items()}}
    return PciConfig(
        (
            PciRegisters("00:05.0", 5 << 3, {**_PORT, **(port or {})}),
            PciRegisters("00:05.0/00.0", edu, values),
        )
    )


def stop() -> Stop:
    event = GuestEvent("stop", 2, 0, 0.0, {"at": "restored"})
    context = StopContext(2, "restored", event, LuoImage().image.ram, MACHINE)
    return make_stop(context, GuestFacts(), ChainRun("x86_64", "q35", kernels=(LINUX, LINUX)))


def check(now: PciConfig, *devices: int, before: PciConfig = config()) -> list[Finding]:
    names = preserved_devices(snapshot(*devices))
    assert len(names) == len(devices)
    return check_pci(stop(), PciLooks(before, now), names)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (config(command=2), "command 0x6 -> 0x2 (bus mastering off)"),
        (config(edu=0x200), "function 01:00.0 -> 02:00.0"),
    ],
)
def test_a_preserved_device_that_is_another_is_named(now: PciConfig, text: str) -> None:
    [finding] = check(now, 0x100)
    assert finding.rule == PCI_PRESERVED and finding.owner == "PCI device 0000:01:00.0"
    assert finding.what.startswith("preserved: ") and text in finding.what
    assert check(now, 5 << 3) == [], "it is not in the list"


@pytest.mark.parametrize(
    "change", [{"bus numbers": 0x20200}, {"ACS control": 0}, {"device control 2": 0}]
)
def test_a_preserved_bridge_that_is_another_is_named(change: dict[str, int]) -> None:
    [finding] = check(config(port=change), 5 << 3, 0x100)
    assert next(iter(change)) in finding.what and "0000:00:05.0" in finding.owner


def test_what_may_change_and_what_stays() -> None:
    assert check(config(), 5 << 3, 0x100) == []
    assert check(config(BAR_0=0x50000000, command=4), 5 << 3, 0x100) == []


def test_a_device_that_is_not_there_and_one_that_cannot_be_seen() -> None:
    [finding] = check(config(), 0x300)
    assert "0000:03:00.0 is preserved, and QEMU showed no such function" in finding.what
    [finding] = check(PciConfig(unread="no answer"), 0x100)
    assert finding.what == "configuration space could not be read: no answer"


class _Judge(RunJudge):
    """With what it knows of the kernel before."""

    def knows(self, kept: Snapshot | None, looks: PciLooks) -> list[Finding]:
        return self._check_pci(stop(), looks, kept)


def test_the_judge_looks_where_there_is_a_list() -> None:
    judge = _Judge(ChainRun("x86_64", "q35", kernels=(LINUX, LINUX)))
    off: Any = PciLooks(config(), config(command=0))
    assert [f.rule for f in judge.knows(snapshot(0x100), off)] == [PCI_PRESERVED]
    assert judge.knows(None, off) == judge.knows(snapshot(), off) == []
    assert judge.knows(snapshot(0x100), PciLooks(None, config())) == []
