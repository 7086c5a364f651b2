# SPDX-License-Identifier: BSD-3-Clause
"""PCI functions with bus mastering on."""

from __future__ import annotations

from typing import Any, Callable, Iterator

from khorig.guest.machine import LeftOn, PciPlace
from khorig.mem.untrusted import count, fields, items
from khorig.vm.devices.monitor import DeviceMonitor

_COMMAND = 0x04
_BUS_MASTER = 1 << 2
_ADDRESS_PORT, _DATA_PORT = 0xCF8, 0xCFC
_ENABLE = 1 << 31
_ECAM = "pcie-mmcfg-mmio"


def read_pci(monitor: DeviceMonitor) -> list[LeftOn]:
    """The functions that are bus masters, by their command registers, those behind bridges and
    extra root buses included."""
    functions = sorted(_functions(monitor), key=lambda place: place.function)
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
    functions: list[PciPlace], read: Callable[[int], tuple[int | None, int]]
) -> list[LeftOn]:
    found = []
    for place in functions:
        address, value = read(place.function << 12 | _COMMAND)
        if value & _BUS_MASTER:
            bus, slot, function = (
                place.function >> 8,
                place.function >> 3 & 0x1F,
                place.function & 7,
            )
            name = f"PCI function {bus:02x}:{slot:02x}.{function}"
            why = "bus mastering on"
            found.append(LeftOn(name, "command", value & 0xFFFF, why, address, place))
    return found


def _read_by_ports(monitor: DeviceMonitor, at: int) -> int:
    """`at`: as in ECAM."""
    monitor.write_port_word(_ADDRESS_PORT, _ENABLE | at >> 4 & ~0xFF | at & 0xFF)
    return monitor.port_word(_DATA_PORT)


def _functions(monitor: DeviceMonitor) -> Iterator[PciPlace]:
    for root in items(monitor.execute("query-pci")):
        yield from _on_bus(items(fields(root)["devices"]))


def _on_bus(devices: Any) -> Iterator[PciPlace]:
    for device in map(fields, devices):
        bus, slot, function = (count(device[part]) for part in ("bus", "slot", "function"))
        bridge = fields(device.get("pci_bridge", {}))
        buses = fields(bridge["bus"]) if bridge else {}
        behind = (count(buses["secondary"]), count(buses["subordinate"])) if bridge else None
        regions = map(fields, items(device.get("regions", [])))
        memory = tuple(count(r["address"]) for r in regions if r["type"] == "memory")
        yield PciPlace(bus << 8 | slot << 3 | function, memory, behind)
        # Behind a bridge without bus numbers nothing can be reached, nor reach memory.
        if behind is not None and behind[0]:
            yield from _on_bus(items(bridge.get("devices", [])))
