# SPDX-License-Identifier: BSD-3-Clause
"""The interrupt controllers of a PC: local APIC of the boot CPU, I/O APICs, 8259."""

from __future__ import annotations

import re

from khorig.guest.machine import LeftOn
from khorig.vm.devices.monitor import DeviceMonitor, Unreadable

_MASKED = 1 << 16
_SOFTWARE_ENABLE = 1 << 8
_LOCAL_VECTOR = re.compile(r"^(LVT\w+)\s+0x([0-9a-f]+)", re.MULTILINE)
_SPURIOUS = re.compile(r"^SPIV\s+0x([0-9a-f]+)", re.MULTILINE)
_TIMER = re.compile(r"^Timer\s.*\binitial_count = (\d+)", re.MULTILINE)
_IO_APIC = re.compile(r"^(ioapic\d+): ", re.MULTILINE)
_PIN = re.compile(r"^\s+pin (\d+)\s+0x([0-9a-f]{16}) ", re.MULTILINE)
_PIC = re.compile(r"^(pic\d): .*\bimr=([0-9a-f]{2})", re.MULTILINE)


def read_local_apic(monitor: DeviceMonitor) -> list[LeftOn]:
    """The boot CPU's: enabled by software, local vectors not masked, a timer with a count. Those of
    the other CPUs were reset with them."""
    answer = monitor.text("info lapic 0")
    spurious, timer = _SPURIOUS.search(answer), _TIMER.search(answer)
    vectors = _LOCAL_VECTOR.findall(answer)
    if spurious is None or timer is None or not vectors:
        raise Unreadable("'info lapic' lacks SPIV, timer or LVT")
    device = "local APIC of CPU 0"
    found = []
    if int(spurious[1], 16) & _SOFTWARE_ENABLE:
        found.append(LeftOn(device, "SPIV", int(spurious[1], 16), "enabled by software"))
    for name, digits in vectors:
        if not int(digits, 16) & _MASKED:
            found.append(LeftOn(device, name, int(digits, 16), "local interrupt not masked"))
    if int(timer[1]):
        found.append(LeftOn(device, "initial count", int(timer[1]), "timer armed"))
    return found


def read_pic(monitor: DeviceMonitor) -> list[LeftOn]:
    """Lines that are not masked, in each redirection entry and both 8259s."""
    answer = monitor.text("info pic")
    found = []
    parts = _IO_APIC.split(answer)
    for name, part in zip(parts[1::2], parts[2::2]):
        pins = _PIN.findall(part)
        if not pins:
            raise Unreadable("'info pic' has an I/O APIC without pins")
        for pin, digits in pins:
            if not int(digits, 16) & _MASKED:
                value = int(digits, 16) & 0xFFFFFFFF
                found.append(LeftOn(name, f"redirection entry {pin}", value, "line not masked"))
    for name, digits in _PIC.findall(answer):
        if digits != "ff":
            what = "the 8259 " + ("master" if name == "pic0" else "slave")
            found.append(LeftOn(what, "IMR", int(digits, 16), "line not masked"))
    if len(parts) == 1 and not _PIC.search(answer):
        raise Unreadable("'info pic' has neither I/O APIC nor 8259")
    return found
