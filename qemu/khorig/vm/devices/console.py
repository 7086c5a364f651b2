# SPDX-License-Identifier: BSD-3-Clause
"""The interrupt of the serial port, which is a level."""

from __future__ import annotations

from khorig.guest.machine import INTERRUPT, LeftOn
from khorig.vm.devices.monitor import DeviceMonitor

_ENABLE_PORT = 0x3F9
_ENABLES = 0xF
_STATUS_PORT = 0x3FD
_CAUSES = ((1, 1), (2, 0x20))  # bits of IER and LSR: data, room
_MASKED_STATUS = 0x40
_CONSOLE = "serial port"


def read_16550(monitor: DeviceMonitor) -> list[LeftOn]:
    """An enabled interrupt is asserted while there is room, or data. Which one it is cannot be read
    without acknowledging it."""
    enabled = monitor.port(_ENABLE_PORT) & _ENABLES
    if not enabled:
        return []
    status = monitor.port(_STATUS_PORT)
    pending = any(enabled & enable and status & ready for enable, ready in _CAUSES)
    return [LeftOn(_CONSOLE, "IER", enabled, INTERRUPT if pending else "interrupt enabled")]


def read_pl011(monitor: DeviceMonitor) -> list[LeftOn]:
    """The masked status is what the line shows."""
    found = []
    for base in sorted(monitor.regions.get("pl011", [])):
        address = base + _MASKED_STATUS
        if status := monitor.word(address):
            found.append(LeftOn(_CONSOLE, "UARTMIS", status, INTERRUPT, address))
    return found
