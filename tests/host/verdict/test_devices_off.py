# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU shows to be on at `entry` fails the run."""

from __future__ import annotations

from verdict.fake_guest import first, sealed_guest

from khorig.guest.machine import DeviceStates, LeftOn
from khorig.rules.finding import Verdict
from khorig.rules.protocol import definitions as protocol


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
