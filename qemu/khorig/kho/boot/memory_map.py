# SPDX-License-Identifier: BSD-3-Clause
"""The memory map that a kernel is given by its boot parameters."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence

import libfdt

from khorig.kho.boot.boot_params import nodes_of
from khorig.kho.boot.efi_map import read_descriptors, read_efi_map
from khorig.kho.fdt import FdtNode, parse_fdt, read_fdt
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

RAM = "RAM"
RESERVED = "reserved"
RUNTIME_SERVICES = "runtime services"
# What Documentation/arch/x86/boot.rst and ACPI 15.1 call the types of e820, and khorig's own.
_KINDS = {
    1: RAM,
    2: RESERVED,
    3: "ACPI",
    4: "NVS",
    5: "unusable",
    0xF0000001: RUNTIME_SERVICES,
}
_COUNT, _TABLE, _MOST_INSIDE = 0x1E8, 0x2D0, 128  # in boot_params
_ENTRY = struct.Struct("<QQI")
_PVH_MAGIC = 0x336EC578  # of hvm_start_info (Xen's include/public/arch-x86/hvm/start_info.h)
_PVH_TABLE = struct.Struct("<QI")  # its address and number of entries
_PVH_TABLE_AT = 40
_PVH_ENTRY = struct.Struct("<QQII")
_EXTENDED = 1  # setup_data that holds the entries beyond _MOST_INSIDE
_LARGEST_TREE = 2 << 20
_FIRMWARE = b"khorig,efi-runtime-services\0"
_MOST_RANGES = 4096
_SERVICES = (5, 6)  # types of EFI's descriptors: code and data of the runtime services


@dataclass(frozen=True, order=True)
class MapEntry:
    """One range of a memory map."""

    area: PhysRange
    kind: str  # "RAM", "ACPI", "type 0x7"


def read_memory_map(memory: PhysicalMemory, arch: str, parameters: int) -> tuple[MapEntry, ...]:
    """By address; neighbours of one kind are one entry. On x86_64 the parameters are boot_params
    or hvm_start_info of PVH. What the parameters themselves and the
    initrd take is RAM in e820, and reserved in a device tree. Raises DecodeError."""
    found = _e820(memory, parameters) if arch == "x86_64" else _device_tree(memory, parameters)
    return _merged(found)


def free_ranges(entries: Iterable[MapEntry]) -> tuple[PhysRange, ...]:
    """RAM of a map without what another entry covers, ascending."""
    entries = tuple(entries)
    taken = sorted(entry.area for entry in entries if entry.kind != RAM)
    free: list[PhysRange] = []
    for area in sorted(entry.area for entry in entries if entry.kind == RAM):
        begin = area.begin
        for hole in taken:
            if hole.overlaps(begin, area.end - begin):
                if hole.begin > begin:
                    free.append(PhysRange(begin, hole.begin - begin))
                begin = max(begin, hole.end)
        if begin < area.end:
            free.append(PhysRange(begin, area.end - begin))
    return tuple(free)


def _merged(entries: Iterable[MapEntry]) -> tuple[MapEntry, ...]:
    merged: list[MapEntry] = []
    for entry in sorted(entry for entry in entries if entry.area.size):
        last = merged[-1] if merged else None
        if last and last.kind == entry.kind and last.area.end >= entry.area.begin:
            end = max(last.area.end, entry.area.end)
            area = PhysRange(last.area.begin, end - last.area.begin)
            merged[-1] = MapEntry(area, last.kind)
        else:
            merged.append(entry)
    return tuple(merged)


def _pvh(memory: PhysicalMemory, parameters: int) -> Iterator[MapEntry]:
    content = read_bytes(memory, parameters + _PVH_TABLE_AT, _PVH_TABLE.size)
    table, count = _PVH_TABLE.unpack(content)
    if count > _MOST_RANGES:
        text = f"hvm_start_info has {count} regions, at most {_MOST_RANGES}"
        raise DecodeError("e820", parameters + _PVH_TABLE_AT, text)
    content = read_bytes(memory, table, count * _PVH_ENTRY.size)
    for begin, size, kind, _ in _PVH_ENTRY.iter_unpack(content):
        yield MapEntry(PhysRange(begin, size), _KINDS.get(kind, f"type {kind:#x}"))


def _e820(memory: PhysicalMemory, parameters: int) -> Iterator[MapEntry]:
    if int.from_bytes(read_bytes(memory, parameters, 4), "little") == _PVH_MAGIC:
        yield from _pvh(memory, parameters)
        return
    count = read_bytes(memory, parameters + _COUNT, 1)[0]
    if count > _MOST_INSIDE:
        text = f"boot_params has {count} regions, at most {_MOST_INSIDE}"
        raise DecodeError("e820", parameters + _COUNT, text)
    yield from _entries(read_bytes(memory, parameters + _TABLE, count * _ENTRY.size))
    for node in nodes_of(memory, parameters):
        if node.kind == _EXTENDED:
            if node.size > _MOST_RANGES * _ENTRY.size or node.size % _ENTRY.size:
                text = f"{node.size} bytes of more regions, one has {_ENTRY.size}"
                raise DecodeError("e820", node.payload, text)
            yield from _entries(read_bytes(memory, node.payload, node.size))


def _entries(content: bytes) -> Iterator[MapEntry]:
    for begin, size, kind in _ENTRY.iter_unpack(content):
        yield MapEntry(PhysRange(begin, size), _KINDS.get(kind, f"type {kind:#x}"))


def _device_tree(memory: PhysicalMemory, parameters: int) -> Iterator[MapEntry]:
    blob = read_fdt(memory, parameters, _LARGEST_TREE)
    root = parse_fdt(blob, parameters)
    cells = _cells(root)
    for node in root.children:
        if node.properties.get("device_type") == b"memory\0":
            yield from (MapEntry(area, RAM) for area in _reg(node, cells, parameters))
        elif node.name == "reserved-memory":
            for child in node.children:
                firmware = _FIRMWARE in child.properties.get("compatible", b"")
                kind = RUNTIME_SERVICES if firmware else RESERVED
                areas = _reg(child, _cells(node), parameters)
                yield from (MapEntry(area, kind) for area in areas)
    yield from _reserved_by_header(blob, parameters)
    yield from _by_firmware(memory, parameters)


def _by_firmware(memory: PhysicalMemory, parameters: int) -> Iterator[MapEntry]:
    """What UEFI's map takes out of a device tree's RAM, for a kernel that is told of it."""
    efi_map = read_efi_map(memory, "arm64", parameters)
    for descriptor in read_descriptors(memory, efi_map) if efi_map else ():
        if not descriptor.is_free:
            kind = RUNTIME_SERVICES if descriptor.kind in _SERVICES else RESERVED
            yield MapEntry(descriptor.area, kind)


def _reserved_by_header(blob: bytes, address: int) -> Iterator[MapEntry]:
    count = libfdt.fdt_num_mem_rsv(blob)
    if not 0 <= count <= _MOST_RANGES:
        text = f"libfdt counts {count} reserved ranges, expected 0 to {_MOST_RANGES}"
        raise DecodeError("memory-reservation", address, text)
    for number in range(count):
        begin, size = libfdt.fdt_get_mem_rsv(blob, number)
        yield MapEntry(PhysRange(begin, size), RESERVED)


def _cells(node: FdtNode) -> tuple[int, int]:
    """Bytes of an address and of a size below a node; 0 where it does not say."""
    names = ("#address-cells", "#size-cells")
    values = (4 * int.from_bytes(node.properties.get(name, b""), "big") for name in names)
    address, size = values
    return address, size


def _reg(node: FdtNode, cells: tuple[int, int], address: int) -> Sequence[PhysRange]:
    content = node.properties.get("reg", b"")
    width = sum(cells)
    if not content:
        return ()
    if not 8 <= width <= 16 or len(content) % width:
        text = f"'reg' of {node.name} has {len(content)} bytes, expected {cells[0]} + {cells[1]}"
        raise DecodeError("property-size", address, text)
    pairs = (content[at : at + width] for at in range(0, len(content), width))
    return [
        PhysRange(int.from_bytes(pair[: cells[0]], "big"), int.from_bytes(pair[cells[0] :], "big"))
        for pair in pairs
    ]
