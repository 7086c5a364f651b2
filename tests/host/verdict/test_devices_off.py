# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU shows to be on at `entry` fails the run."""

from __future__ import annotations

from typing import Any

import pytest
from verdict.fake_guest import first, sealed_guest, stop_of

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.machine import (
    BUS_MASTER,
    INTERRUPT,
    NOT_RESET,
    WATCHDOG,
    DeviceStates,
    LeftOn,
    PciPlace,
)
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Verdict
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.devices import check_found


def test_what_is_left_on_is_a_finding_each() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    port = LeftOn("PCI function 00:05.1", "command", 0x107, "bus mastering on", 0xB0029004)
    timer = LeftOn("PIT channel 0", "status", 0x34, "periodic timer runs")
    guest.devices = DeviceStates(("PCI functions", "PIT"), (port, timer))
    master, periodic = guest.enters()
    assert first([master], protocol.DEVICES_OFF, 0xB0029004, "PCI function 00:05.1") is master
    assert first([periodic], protocol.DEVICES_OFF, None, "PIT channel 0") is periodic
    assert master.what == "PCI function 00:05.1: bus mastering on: command 0x00000107"
    assert (master.generation, master.stop, master.verdict) == (2, "entry", Verdict.FAIL)


def test_devices_that_nobody_saw_are_not_off() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(unread=("PCI functions: QMP error",))
    found = first(guest.enters(), protocol.DEVICES_OFF, None, "")
    assert found.evidence == ("PCI functions: QMP error",)


ON = (
    LeftOn("PCI function 01:02.3", "command", 7, BUS_MASTER, pci=PciPlace(0x113)),
    LeftOn("PCI function 40:00.0", "command", 7, BUS_MASTER, pci=PciPlace(0x4000)),
    LeftOn("PCI function 00:05.0", "lock", 2, WATCHDOG, pci=PciPlace(0x28)),
    LeftOn("PCI function 00:06.0", "status", 8, INTERRUPT, pci=PciPlace(0x30)),
    LeftOn("virtio-mmio device at 0xa000000", "status", 7, NOT_RESET),
    LeftOn("virtio-mmio device at 0xa000000", "ISR", 1, INTERRUPT),
    LeftOn("virtio device /machine/x behind PCI", "status", 7, NOT_RESET),
    LeftOn("serial port", "IER", 2, INTERRUPT),
    LeftOn("GIC distributor", "GICD_ISPENDR1", 2, INTERRUPT),
    LeftOn("PIT channel 0", "status", 0x34, "periodic timer runs"),
)
FOUND_ALL: dict[str, Any] = {
    **{"masters": ["0x113"], "interrupts": ["0x30"], "watchdogs": ["0x28"]},
    **{"last_bus": 1, "virtio": 1, "console": True},
}


@pytest.mark.parametrize(
    "name, value, what",
    [
        ("last_bus", 1, ""),
        ("last_bus", 0x40, "bus masters: the kernel found 01:02.3, QEMU showed 01:02.3, 40:00.0"),
        ("masters", [], "bus masters: the kernel found none, QEMU showed 01:02.3"),
        ("interrupts", ["0x31"],
         "pending interrupts: the kernel found 00:06.1, QEMU showed 00:06.0"),
        ("watchdogs", [], "watchdogs: the kernel found none, QEMU showed 00:05.0"),
        ("virtio", 2, "virtio-mmio devices in use: the kernel found 2, QEMU showed 1"),
        ("console", False,
         "serial ports with an interrupt pending: the kernel found 0, QEMU showed 1"),
    ],
)  # fmt: skip
def test_the_kernel_finds_what_the_host_sees(name: str, value: Any, what: str) -> None:
    facts = GuestFacts(devices=DeviceStates(("PCI functions",), ON))
    facts.take(GuestEvent("found", 2, 0, 0.0, {**FOUND_ALL, name: value}))
    assert texts(facts) == ([what] if what else [])


def texts(facts: GuestFacts) -> list[str]:
    guest = sealed_guest()
    stop = stop_of(RamMemory(guest.image.ram), guest.spec, 2, "restored", facts)
    findings = check_found(stop, None)  # type: ignore[arg-type]
    assert {found.rule for found in findings} <= {protocol.FOUND}
    return [found.what for found in findings]


def test_a_kernel_that_reports_nothing_of_devices_is_told() -> None:
    assert texts(GuestFacts()) == ["no 'found' event before this stop"]


def test_what_the_host_did_not_see_is_not_compared() -> None:
    facts = GuestFacts()
    facts.take(GuestEvent("found", 2, 0, 0.0, FOUND_ALL))
    assert texts(facts) == []


@pytest.mark.parametrize(
    "name, value",
    [("masters", None), ("masters", [1]), ("interrupts", ["x"]), ("watchdogs", [True]),
     ("console", 1), ("virtio", -1), ("last_bus", "0")],
)  # fmt: skip
def test_a_report_that_is_none_is_told(name: str, value: Any) -> None:
    with pytest.raises(EventFieldError):
        GuestFacts().take(GuestEvent("found", 2, 0, 0.0, {**FOUND_ALL, name: value}))


def test_the_run_compares_both() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == [] and guest.enters() == []
    guest.found["console"] = True
    found = guest.restores()
    assert [finding.rule for finding in found] == [protocol.FOUND]
