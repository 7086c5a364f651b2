# SPDX-License-Identifier: BSD-3-Clause
"""The 8254 and the HPET of a PC."""

from __future__ import annotations

from khorig.guest.machine import LeftOn
from khorig.vm.devices.monitor import DeviceMonitor

_PIT_CONTROL, _PIT_CHANNEL0 = 0x43, 0x40
_READ_STATUS_OF_0 = 0xE2  # the read-back command
_PERIODIC_MODES = {2, 3, 6, 7}
_HPET_CONFIGURATION = 0x10
_HPET_TIMER0 = 0x100
_HPET_ON = 3  # counting, legacy routes


def read_pit(monitor: DeviceMonitor) -> list[LeftOn]:
    """Channel 0, when it is periodic. One that is one-shot ends by itself, and QEMU does not tell
    whether it has a count."""
    monitor.write_port(_PIT_CONTROL, _READ_STATUS_OF_0)
    status = monitor.port(_PIT_CHANNEL0)
    if (status >> 1 & 7) not in _PERIODIC_MODES:
        return []
    return [LeftOn("PIT channel 0", "status", status, "periodic timer runs")]


def read_hpet(monitor: DeviceMonitor) -> list[LeftOn]:
    """The main counter, and the interrupt of its first timer."""
    hpet = monitor.region("hpet")
    if hpet is None:
        return []
    found = []
    for register, offset, bits, why in (
        ("configuration", _HPET_CONFIGURATION, _HPET_ON, "timer runs"),
        ("timer 0 configuration", _HPET_TIMER0, 1 << 2, "interrupt enabled"),
    ):
        if (value := monitor.word(hpet + offset)) & bits:
            found.append(LeftOn("HPET", register, value, why, hpet + offset))
    return found
