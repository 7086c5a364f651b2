# SPDX-License-Identifier: BSD-3-Clause
"""PCI functions that can write to memory, assert an interrupt, or reset the machine."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Iterator, Protocol

from khorig.guest.machine import BUS_MASTER, INTERRUPT, WATCHDOG, LeftOn, PciPlace
from khorig.mem.untrusted import count, fields, items
from khorig.vm.devices.monitor import DeviceMonitor

_COMMAND = 0x04  # and the status above it
_BUS_MASTER = 1 << 2
_NO_INTERRUPT = 1 << 10
_INTERRUPT = 1 << 19  # of the status: asserted, unless the command forbids it
_ADDRESS_PORT, _DATA_PORT = 0xCF8, 0xCFC
_ENABLE = 1 << 31
_ECAM = "pcie-mmcfg-mmio"
_WATCHDOG = (0x8086, 0x25AB)  # i6300esb
_LOCK = 0x68
_COUNTS = 1 << 1
_NO_ADDRESS = -1  # of a BAR that nobody has given one


@dataclass(frozen=True)
class PciFunctionAt:
    """A function, and what it is."""

    place: PciPlace
    id: tuple[int, int]  # vendor, device

    @property
    def name(self) -> str:
        """ "PCI function 40:00.0"."""
        at = self.place.function
        return f"PCI function {at >> 8:02x}:{at >> 3 & 0x1F:02x}.{at & 7}"

    def at(self, offset: int) -> int:
        """Where a register is in ECAM."""
        return self.place.function << 12 | offset


class PciSpace(Protocol):
    """Access to configuration space; `at` is a place in ECAM."""

    def address(self, at: int) -> int | None:
        """Where that is in physical memory; None: only the first 256 bytes are there, by ports."""

    def word(self, at: int) -> int:
        """32 bits."""

    def byte(self, at: int) -> int:
        """8 bits."""

    def words(self, at: int, count: int) -> list[int]:
        """Words from a place, where they can be read at once; none by ports, where each takes two
        commands."""


class _Ecam:
    def __init__(self, monitor: DeviceMonitor, base: int) -> None:
        self._monitor, self._base = monitor, base

    def address(self, at: int) -> int | None:
        return self._base + at

    def word(self, at: int) -> int:
        return self._monitor.word(self._base + at)

    def byte(self, at: int) -> int:
        return self._monitor.byte(self._base + at)

    def words(self, at: int, count: int) -> list[int]:
        return self._monitor.words(self._base + at, count)


class _Ports:
    def __init__(self, monitor: DeviceMonitor) -> None:
        self._monitor = monitor

    def address(self, at: int) -> int | None:
        return None

    def _select(self, at: int) -> None:
        selector = _ENABLE | at >> 4 & ~0xFF | at & 0xFC
        self._monitor.write_port_word(_ADDRESS_PORT, selector)

    def word(self, at: int) -> int:
        self._select(at)
        return self._monitor.port_word(_DATA_PORT)

    def byte(self, at: int) -> int:
        self._select(at)
        return self._monitor.port(_DATA_PORT + (at & 3))

    def words(self, at: int, count: int) -> list[int]:
        return []


def read_pci(monitor: DeviceMonitor) -> list[LeftOn]:
    """What is on in the functions, by their configuration space, those behind bridges and extra
    root buses included."""
    functions = pci_functions(monitor)
    if not functions:
        return []
    with pci_space(monitor) as config:
        return [left for function in functions for left in _left_on(function, config)]


def watchdogs(monitor: DeviceMonitor) -> list[str]:
    """The functions that are watchdogs."""
    return [function.name for function in pci_functions(monitor) if function.id == _WATCHDOG]


@contextlib.contextmanager
def pci_space(monitor: DeviceMonitor) -> Iterator[PciSpace]:
    """Configuration space. Leaves the address port as it was."""
    if (base := monitor.region(_ECAM)) is not None:
        yield _Ecam(monitor, base)
        return
    selected = monitor.port_word(_ADDRESS_PORT)
    yield _Ports(monitor)
    monitor.write_port_word(_ADDRESS_PORT, selected)


def _left_on(function: PciFunctionAt, config: PciSpace) -> Iterator[LeftOn]:
    def left(register: str, value: int, why: str, at: int) -> LeftOn:
        return LeftOn(function.name, register, value, why, config.address(at), function.place)

    command, lock = function.at(_COMMAND), function.at(_LOCK)
    value = config.word(command)
    if value & _BUS_MASTER:
        yield left("command", value & 0xFFFF, BUS_MASTER, command)
    if value & _INTERRUPT and not value & _NO_INTERRUPT:
        yield left("status", value >> 16, INTERRUPT, command)
    if function.id == _WATCHDOG and (value := config.byte(lock)) & _COUNTS:
        yield left("lock", value, WATCHDOG, lock)


def pci_functions(monitor: DeviceMonitor) -> list[PciFunctionAt]:
    """Those that can be reached, ascending."""
    return sorted(_functions(monitor), key=lambda function: function.place.function)


def _functions(monitor: DeviceMonitor) -> Iterator[PciFunctionAt]:
    for root in items(monitor.execute("query-pci")):
        yield from _on_bus(items(fields(root)["devices"]))


def _on_bus(devices: Any) -> Iterator[PciFunctionAt]:
    for device in map(fields, devices):
        bus, slot, function = (count(device[part]) for part in ("bus", "slot", "function"))
        ids = fields(device["id"])
        bridge = fields(device.get("pci_bridge", {}))
        buses = fields(bridge["bus"]) if bridge else {}
        behind = (count(buses["secondary"]), count(buses["subordinate"])) if bridge else None
        regions = map(fields, items(device.get("regions", [])))
        given = (r["address"] for r in regions if r["type"] == "memory")
        memory = tuple(count(at) for at in given if at != _NO_ADDRESS)
        place = PciPlace(bus << 8 | slot << 3 | function, memory, behind)
        yield PciFunctionAt(place, (count(ids["vendor"]), count(ids["device"])))
        # Behind a bridge without bus numbers nothing can be reached, nor reach memory.
        if behind is not None and behind[0]:
            yield from _on_bus(items(bridge.get("devices", [])))
