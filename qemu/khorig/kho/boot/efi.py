# SPDX-License-Identifier: BSD-3-Clause
"""UEFI's system table and configuration table in memory (UEFI specification 2.10, 4.3 and 4.6)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Iterable, Iterator
from uuid import UUID

from khorig.kho.boot.efi_map import EfiMap
from khorig.kho.boot.efi_tables import KINDS, Kind, Look
from khorig.kho.boot.table_part import Part
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import PhysicalMemory, read_bytes
from khorig.mem.pieces import PAGE, pieces

SIGNATURE = b"IBI SYST"
_SIZE = 120  # bytes of the system table, with its header
_CRC_OFFSET = 16
_TABLES = struct.Struct("<QQ")  # count and address, at the end of the system table
_ENTRY = struct.Struct("<16sQ")
_MOST = 256  # configuration tables
_MOST_LOOKS = 256  # at what may be a system table, or an array of configuration tables
_ALIGNMENT = 8


@dataclass(frozen=True)
class FirmwareTable:
    """One entry of the configuration table."""

    guid: UUID
    address: int
    kind: Kind | None  # None for one that Linux does not read
    parts: tuple[Part, ...] = ()  # what it consists of, as far as it can be read
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """As Linux prints it; a GUID that Linux does not read as it is."""
        return self.kind.name if self.kind else str(self.guid)


@dataclass(frozen=True)
class SystemTable:
    """What the firmware leaves a kernel."""

    address: int
    array: int  # physical address of the configuration table
    tables: tuple[FirmwareTable, ...]

    def table(self, name: str) -> FirmwareTable | None:
        """The first table of that name."""
        return next((table for table in self.tables if table.name == name), None)


def find_system_table(
    memory: DumpMemory, efi_map: EfiMap | None = None, places: Iterable[int] | None = None
) -> SystemTable | None:
    """Looks at `places`, or else at all of memory, for a system table whose checksum is right and
    whose configuration table can be read. None when there is none: this machine was not started by
    UEFI, or what it left is gone. A Linux has given the firmware virtual addresses, so the array is
    looked for where its address in the page says. Raises nothing for what is in memory."""
    looks = _MOST_LOOKS
    for at in _places(memory, SIGNATURE) if places is None else places:
        looks -= 1
        if looks < 0:
            return None
        try:
            content = read_bytes(memory, at, _SIZE)
        except DecodeError:
            continue
        if not _is_right(content):
            continue
        count, array = _TABLES.unpack_from(content, _SIZE - _TABLES.size)
        if not 0 < count <= _MOST:
            continue
        found = _array(memory, count, array)
        if found is not None:
            return SystemTable(at, found, read_tables(memory, count, found, efi_map))
    return None


def read_again(
    memory: PhysicalMemory, before: SystemTable, efi_map: EfiMap | None = None
) -> SystemTable:
    """The same tables as they are now. Raises OutsideRam."""
    tables = (_table(memory, t.guid, t.address, efi_map) for t in before.tables)
    return SystemTable(before.address, before.array, tuple(tables))


def read_tables(
    memory: PhysicalMemory, count: int, array: int, efi_map: EfiMap | None
) -> tuple[FirmwareTable, ...]:
    """The `count` tables of the array at `array`. Raises OutsideRam when that cannot be read."""
    content = read_bytes(memory, array, count * _ENTRY.size)
    found = ((UUID(bytes_le=guid), address) for guid, address in _ENTRY.iter_unpack(content))
    return tuple(_table(memory, guid, address, efi_map) for guid, address in found)


def _table(
    memory: PhysicalMemory, guid: UUID, address: int, efi_map: EfiMap | None
) -> FirmwareTable:
    kind = KINDS.get(guid)
    if kind is None:
        return FirmwareTable(guid, address, None)
    problems: list[Problem] = []
    parts: tuple[Part, ...] = ()
    try:
        parts = tuple(kind.read(Look(memory, address, efi_map, problems)))
    except DecodeError as error:
        problems.append(error.problem)
    return FirmwareTable(guid, address, kind, parts, tuple(problems))


def _is_right(content: bytes) -> bool:
    size = int.from_bytes(content[12:16], "little")
    claimed = int.from_bytes(content[_CRC_OFFSET : _CRC_OFFSET + 4], "little")
    blank = content[:_CRC_OFFSET] + bytes(4) + content[_CRC_OFFSET + 4 :]
    return size == _SIZE and zlib.crc32(blank) == claimed


def _array(memory: DumpMemory, count: int, address: int) -> int | None:
    """Where the array is: at `address`, or where a known table's GUID shows it, as far into a page
    as `address` is."""
    if _is_array(memory, count, address):
        return address
    looks = _MOST_LOOKS
    for guid in KINDS:
        for at in _places(memory, guid.bytes_le):
            looks -= 1
            if looks < 0:
                return None
            for place in range(count):
                begin = at - place * _ENTRY.size
                if (begin - address) % PAGE == 0 and _is_array(memory, count, begin):
                    return begin
    return None


def _is_array(memory: DumpMemory, count: int, address: int) -> bool:
    try:
        content = read_bytes(memory, address, count * _ENTRY.size)
    except DecodeError:
        return False
    return any(UUID(bytes_le=guid) in KINDS for guid, _ in _ENTRY.iter_unpack(content))


def _places(memory: DumpMemory, content: bytes) -> Iterator[int]:
    """Where aligned content lies in memory."""
    for begin, view in pieces(memory):
        haystack = bytes(view)
        del view
        at = haystack.find(content)
        while at >= 0:
            if (begin + at) % _ALIGNMENT == 0:
                yield begin + at
            at = haystack.find(content, at + 1)
