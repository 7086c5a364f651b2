# SPDX-License-Identifier: BSD-3-Clause
"""Reads the configuration space of every PCI function that can be reached."""

from __future__ import annotations

import functools
from typing import Iterator, Sequence

from khorig.guest.machine import PciPlace
from khorig.guest.pci_config import (
    ACS_CONTROL,
    ARI_CONTROL,
    BUS_NUMBERS,
    COMMAND,
    DEVICE_CONTROL_2,
    PciConfig,
    PciRegisters,
    bdf_name,
)
from khorig.mem.untrusted import Untrusted
from khorig.vm.devices.monitor import DeviceMonitor
from khorig.vm.devices.pci import PciFunctionAt, PciSpace, pci_functions, pci_space
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp, QmpClosed

_HEADER_WORDS = 64  # what ports reach, too: header and capabilities
_COMMAND, _TYPE, _CAPABILITIES = 0x04, 0x0C, 0x34
_HAS_CAPABILITIES = 1 << 20  # of the status, which is above the command
_BRIDGE = 1
_MOST_CAPABILITIES = 48
_BARS = {0: 6, _BRIDGE: 2}  # by type of header
_OF_BRIDGE = (
    (BUS_NUMBERS, 0x18, 0, 0xFFFFFF),
    ("I/O window", 0x1C, 0, 0xFFFF),
    ("memory window", 0x20, 0, 0xFFFFFFFF),
    ("prefetchable window", 0x24, 0, 0xFFFFFFFF),
    ("bridge control", 0x3C, 16, 0xFFFF),
)
# Registers of 16 bits of capabilities: name, offset of their word, shift in it.
_IN_CAPABILITY = {
    0x01: (("power management", 4, 0),),
    0x05: (("MSI control", 0, 16),),
    0x10: (("device control", 8, 0), ("link control", 0x10, 0), (DEVICE_CONTROL_2, 0x28, 0)),
    0x11: (("MSI-X control", 0, 16),),
}
_PCI_EXPRESS = 0x10
_EXTENDED = 0x100
_IN_EXTENDED = {
    0x0D: ((ACS_CONTROL, 4, 16),),
    0x0E: ((ARI_CONTROL, 4, 16),),
    0x0F: (("ATS control", 4, 16),),
    0x1B: (("PASID control", 4, 16),),
}


def read_pci_config(qmp: Qmp) -> PciConfig:
    """All functions. What QEMU does not tell is named, and no error. Raises QmpClosed,
    Interrupted."""
    monitor = DeviceMonitor(qmp)
    try:
        functions = pci_functions(monitor)
        if not functions:
            return PciConfig()
        paths = paths_of([function.place for function in functions])
        with pci_space(monitor) as space:
            return PciConfig(
                tuple(
                    PciRegisters(path, function.place.function, dict(_registers(function, space)))
                    for path, function in zip(paths, functions)
                )
            )
    except QmpClosed:
        raise
    except (InfraError, Untrusted, LookupError) as error:
        return PciConfig(unread=str(error))


def paths_of(places: Sequence[PciPlace]) -> list[str]:
    """Names that do not change with the numbers of buses behind bridges."""
    above = {place.behind[0]: place for place in places if place.behind and place.behind[0]}

    def path(place: PciPlace, depth: int = 0) -> str:
        bridge = above.get(place.function >> 8)
        if bridge is None or bridge is place or depth > len(places):
            return bdf_name(place.function)
        return f"{path(bridge, depth + 1)}/{bdf_name(place.function)[3:]}"

    return [path(place) for place in places]


def _registers(function: PciFunctionAt, space: PciSpace) -> Iterator[tuple[str, int]]:
    first = space.words(function.at(0), _HEADER_WORDS)

    @functools.cache
    def word(offset: int) -> int:
        at = offset // 4
        return first[at] if at < len(first) else space.word(function.at(offset))

    yield COMMAND, word(_COMMAND) & 0xFFFF
    kind = word(_TYPE) >> 16 & 0x7F
    for number in range(_BARS.get(kind, 0)):
        yield f"BAR {number}", word(0x10 + 4 * number)
    if kind == _BRIDGE:
        for name, offset, shift, mask in _OF_BRIDGE:
            yield name, word(offset) >> shift & mask
    at = word(_CAPABILITIES) & 0xFC if word(_COMMAND) & _HAS_CAPABILITIES else 0
    is_express = False
    for _ in range(_MOST_CAPABILITIES):
        if at < 0x40:
            break
        head = word(at)
        is_express |= head & 0xFF == _PCI_EXPRESS
        for name, offset, shift in _IN_CAPABILITY.get(head & 0xFF, ()):
            if at + offset < 4 * _HEADER_WORDS:
                yield name, word(at + offset) >> shift & 0xFFFF
        at = head >> 8 & 0xFC
    if is_express and space.address(function.at(_EXTENDED)) is not None:
        yield from _extended(function, space)


def _extended(function: PciFunctionAt, space: PciSpace) -> Iterator[tuple[str, int]]:
    at = _EXTENDED
    for _ in range(_MOST_CAPABILITIES):
        head = space.word(function.at(at))
        if head in (0, 0xFFFFFFFF):
            return
        for name, offset, shift in _IN_EXTENDED.get(head & 0xFFFF, ()):
            yield name, space.word(function.at(at + offset)) >> shift & 0xFFFF
        at = head >> 20 & 0xFFC
        if at < _EXTENDED:
            return
