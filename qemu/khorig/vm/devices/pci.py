# SPDX-License-Identifier: BSD-3-Clause
"""PCI functions with bus mastering on."""

from __future__ import annotations

from typing import Any, Callable, Iterator

from khorig.guest.machine import LeftOn
from khorig.mem.untrusted import count, fields, items
from khorig.vm.devices.monitor import DeviceMonitor

_COMMAND = 0x04
_BUS_MASTER = 1 << 2
_ADDRESS_PORT, _DATA_PORT = 0xCF8, 0xCFC
_ENABLE = 1 << 31
_ECAM = "pcie-mmcfg-mmio"

_Function = tuple[int, int, int]  # bus, device, function


def read_pci(monitor: DeviceMonitor) -> list[LeftOn]:
    """The functions that are bus masters, by their command registers, those behind bridges and
    extra root buses included."""
    functions = sorted(_functions(monitor))
    if (base := monitor.region(_ECAM)) is not None:
        ecam = base
        return _masters(functions, lambda at: (ecam + at, monitor.word(ecam + at)))
    if not functions:
        return []
    selected = monitor.port_word(_ADDRESS_PORT)
    found = _masters(functions, lambda at: (None, _read_by_ports(monitor, at)))
    monitor.write_port_word(_ADDRESS_PORT, selected)
    return found


def _masters(
    functions: list[_Function], read: Callable[[int], tuple[int | None, int]]
) -> list[LeftOn]:
    found = []
    for bus, device, function in functions:
        address, value = read(bus << 20 | device << 15 | function << 12 | _COMMAND)
        if value & _BUS_MASTER:
            name = f"PCI function {bus:02x}:{device:02x}.{function}"
            found.append(LeftOn(name, "command", value & 0xFFFF, "bus mastering on", address))
    return found


def _read_by_ports(monitor: DeviceMonitor, at: int) -> int:
    """`at`: as in ECAM."""
    monitor.write_port_word(_ADDRESS_PORT, _ENABLE | at >> 4 & ~0xFF | at & 0xFF)
    return monitor.port_word(_DATA_PORT)


def _functions(monitor: DeviceMonitor) -> Iterator[_Function]:
    for root in items(monitor.execute("query-pci")):
        yield from _on_bus(items(fields(root)["devices"]))


def _on_bus(devices: Any) -> Iterator[_Function]:
    for device in map(fields, devices):
        yield count(device["bus"]), count(device["slot"]), count(device["function"])
        bridge = fields(device.get("pci_bridge", {}))
        # Behind a bridge without bus numbers nothing can be reached, nor reach memory.
        if bridge and count(fields(bridge["bus"])["secondary"]):
            yield from _on_bus(items(bridge.get("devices", [])))
