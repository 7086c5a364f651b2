# SPDX-License-Identifier: BSD-3-Clause
"""What the page tables of a CPU that runs on map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Mapping

import numpy as np

from khorig.kho.layout import Geometry
from khorig.mem.memory import PhysicalMemory, read_bytes

MOST_ENTRIES = 64  # a CPU of its own has a handful


@dataclass(frozen=True)
class Entry:
    """An entry that is present, at the level where the CPU comes to it."""

    table: int  # physical address of the table that has it
    address: int  # physical, of the next table or of what is mapped
    is_leaf: bool
    virtual: int  # the first address that it is used for
    size: int  # bytes that it is used for
    writable: bool  # with what the levels above allow
    executable: bool


_Bits = tuple[int, bool, bool, bool]  # address, leaf, writable, executable
_Decode = Callable[[int, bool], _Bits | None]


def _x86_64(entry: int, is_last: bool) -> _Bits | None:
    """Intel SDM volume 3, 5.5, for a supervisor that sets CR0.WP and EFER.NXE."""
    if not entry & 1:
        return None
    is_leaf = is_last or bool(entry & 0x80)
    return entry & 0x000F_FFFF_FFFF_F000, is_leaf, bool(entry & 2), not entry >> 63


def _arm64(entry: int, is_last: bool) -> _Bits | None:
    """Arm ARM D8.3, stage 1 of EL1, or of EL2 without VHE: there AP[1] is 1, and bit 54 is XN."""
    if not entry & 1 or (is_last and not entry & 2):
        return None
    address = entry & 0x0000_FFFF_FFFF_F000
    if entry & 2 and not is_last:
        return address, False, True, True
    never = 54 if entry & 0x40 else 53
    return address, True, not entry & 0x80, not entry >> never & 1


_DECODE: Mapping[str, _Decode] = {"x86_64": _x86_64, "arm64": _arm64}


def walk_tables(
    memory: PhysicalMemory, arch: str, tables: tuple[int, ...], geometry: Geometry
) -> Iterator[Entry]:
    """Every entry below the first of `tables`, of which there is one for each level, at most
    MOST_ENTRIES. Raises OutsideRam for a table that is not in RAM."""
    bits, left = geometry.page_shift - 3, [MOST_ENTRIES]

    def visit(table: int, level: int, above: Entry | None) -> Iterator[Entry]:
        size = geometry.page_size << bits * level
        words = np.frombuffer(read_bytes(memory, table, geometry.page_size), dtype="<u8")
        for index in np.flatnonzero(words & np.uint64(1)).tolist():
            found = _DECODE[arch](int(words[index]), level == 0)
            if found is None or left[0] == 0:
                continue
            left[0] -= 1
            address, is_leaf, writable, executable = found
            if above is not None:
                writable, executable = writable and above.writable, executable and above.executable
            virtual = (above.virtual if above else 0) + index * size
            entry = Entry(table, address, is_leaf, virtual, size, writable, executable)
            yield entry
            if not is_leaf:
                yield from visit(address, level - 1, entry)

    yield from visit(tables[0], len(tables) - 1, None)
