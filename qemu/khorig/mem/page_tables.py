# SPDX-License-Identifier: BSD-3-Clause
"""Page tables of x86_64 and arm64, read out of guest memory.

Sources: Intel SDM volume 3, 5.5; Arm ARM (DDI 0487), D8.3, stage 1 with 48-bit addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np
import numpy.typing as npt

from khorig.mem.memory import PhysicalMemory, read_bytes

_PRESENT = 1
_TYPE, _TABLE = 3, 3


@dataclass(frozen=True)
class TableFormat:
    """How entries are read. A leaf below the last level has a size of its own."""

    name: str  # as the event `stop` has it (docs/abi.md)
    arch: str
    address_bits: int  # virtual
    output_bits: int  # of an address in an entry
    is_handed_on: bool  # whether the next kernel starts on the tables
    read_only: int  # bits that forbid writing when set in a leaf
    writable: int  # bits that allow it, set at every level
    never: int  # bits that forbid execution when set in a leaf
    never_below: int  # the same, in an entry that leads to a table
    read_only_below: int
    accessed: int  # without it the first access is a fault
    software: int  # what the architecture leaves to the kernel that wrote them

    def is_present(self, entry: int, level: int, largest: int) -> bool:
        """Whether a walk goes on or ends well there. Level 1 is the last, `largest` the highest
        that may have leaves."""
        if not entry & _PRESENT:
            return False
        if self.arch == "arm64" and level == 1:
            return entry & _TYPE == _TABLE
        return level <= largest or not self.is_leaf(entry, level)

    def is_leaf(self, entry: int, level: int) -> bool:
        """Of an entry that is present."""
        if level == 1:
            return True
        return bool(entry & 1 << 7) if self.arch == "x86_64" else entry & _TYPE != _TABLE


def _arm64(name: str, never: int, never_below: int) -> TableFormat:
    return TableFormat(
        name=name,
        arch="arm64",
        address_bits=48,
        output_bits=48,
        is_handed_on=False,
        read_only=1 << 7,
        writable=0,
        never=never,
        never_below=never_below,
        read_only_below=1 << 62,
        accessed=1 << 10,
        software=0xF << 55,
    )


_X86_64 = TableFormat(
    name="x86_64",
    arch="x86_64",
    address_bits=57,
    output_bits=52,
    is_handed_on=True,
    read_only=0,
    writable=1 << 1,
    never=1 << 63,
    never_below=1 << 63,
    read_only_below=0,
    accessed=0,
    software=7 << 9 | 0x7FF << 52,
)

# EL2 with VHE has the format of EL1: privileged execute-never is bit 53. EL2 alone has bit 54.
FORMATS = {
    f.name: f
    for f in (
        _X86_64,
        _arm64("arm64 EL1", never=1 << 53, never_below=1 << 59),
        _arm64("arm64 EL2", never=1 << 54, never_below=1 << 60),
    )
}


@dataclass(frozen=True)
class Translation:
    """Where a walk ends, for all addresses from `begin` on that it holds for."""

    begin: int  # virtual
    size: int
    physical: int | None  # of `begin`; None where nothing is mapped
    rights: str  # of "r", "w", "x"
    level: int  # of the entry, 1 is the last; 0 if there is none
    entry: int
    entry_at: int  # physical

    @property
    def text(self) -> str:
        """The entry, in one line."""
        if not self.level:
            return "no level of the tables reaches it"
        return f"entry {self.entry:#018x} at {self.entry_at:#018x}, level {self.level}"


@dataclass(frozen=True)
class PageTables:
    """Tables in memory; valid as long as that is."""

    memory: PhysicalMemory
    format: TableFormat
    page_shift: int
    root: int
    levels: int

    @property
    def _index_bits(self) -> int:
        return self.page_shift - 3

    def _shift(self, level: int) -> int:
        return self.page_shift + (level - 1) * self._index_bits

    def _entries(self, level: int) -> int:
        """In a table; the topmost may have fewer."""
        return 1 << min(self._index_bits, max(self.format.address_bits - self._shift(level), 0))

    def _is_present(self, entry: int, level: int) -> bool:
        return self.format.is_present(entry, level, 3 if self.page_shift == 12 else 2)

    def _output(self, entry: int, shift: int) -> int:
        return entry & (1 << self.format.output_bits) - (1 << shift)

    def translate(self, address: int) -> Translation:
        """Walks from the root. Raises OutsideRam where a table is not in RAM."""
        form, table, allowed, above = self.format, self.root, ~0, 0
        top = self._shift(self.levels)
        if address >> top >= self._entries(self.levels):
            return Translation(address, (1 << 64) - address, None, "", 0, 0, 0)
        for level in range(self.levels, 0, -1):
            shift = self._shift(level)
            at = table + 8 * (address >> shift & self._entries(level) - 1)
            entry = int.from_bytes(read_bytes(self.memory, at, 8), "little")
            begin, size = address >> shift << shift, 1 << shift
            if not self._is_present(entry, level):
                return Translation(begin, size, None, "", level, entry, at)
            allowed &= entry
            if form.is_leaf(entry, level):
                physical = self._output(entry, shift)
                rights = self._rights(entry, allowed, above)
                return Translation(begin, size, physical, rights, level, entry, at)
            above |= entry
            table = self._output(entry, self.page_shift)
        raise AssertionError("level 1 has leaves only")

    def _rights(self, leaf: int, allowed: int, above: int) -> str:
        form = self.format
        if leaf & form.accessed != form.accessed:
            return ""
        read_only = leaf & form.read_only or above & form.read_only_below
        never = leaf & form.never or above & form.never_below
        writable = not read_only and allowed & form.writable == form.writable
        return "r" + "w" * writable + "x" * (not never)

    def entries(self, most: int) -> Iterator[Translation]:
        """Every entry that is present, at most `most`, each as often as the walk comes to it; one
        that leads to a table comes before those of the table, which is its `physical`. Raises
        OutsideRam."""
        pending, left = [(self.root, self.levels, 0, ~0, 0)], most
        while pending:
            table, level, base, allowed, above = pending.pop()
            shift, size = self._shift(level), 8 * self._entries(level)
            words = np.frombuffer(read_bytes(self.memory, table, size), "<u8")
            below = []
            for index in np.flatnonzero(words & np.uint64(_PRESENT)).tolist():
                entry, begin = int(words[index]), base + (index << shift)
                if not self._is_present(entry, level):
                    continue
                if left == 0:
                    return
                left -= 1
                is_leaf = self.format.is_leaf(entry, level)
                physical = self._output(entry, shift if is_leaf else self.page_shift)
                rights = self._rights(entry, allowed & entry, above) if is_leaf else ""
                at = table + 8 * index
                yield Translation(begin, 1 << shift, physical, rights, level, entry, at)
                if not is_leaf:
                    below.append((physical, level - 1, begin, allowed & entry, above | entry))
            pending += reversed(below)

    def tables(self) -> Iterator[tuple[int, int, npt.NDArray[np.uint64]]]:
        """Every table that can be reached, once at each level: its address, its level and a copy of
        its entries. Raises OutsideRam."""
        form, tables = self.format, [self.root]
        for level in range(self.levels, 0, -1):
            below: set[int] = set()
            for table in tables:
                size = 8 * self._entries(level)
                entries = np.frombuffer(read_bytes(self.memory, table, size), "<u8")
                yield table, level, entries
                for entry in map(int, np.unique(entries[entries & _PRESENT != 0])):
                    if self._is_present(entry, level) and not form.is_leaf(entry, level):
                        below.add(self._output(entry, self.page_shift))
            tables = sorted(below)

    def own_bits(self) -> Iterator[tuple[int, int, int]]:
        """Entries that are present and have bits which the architecture leaves to software: the
        address of each, its level and its value. Raises OutsideRam."""
        for table, level, entries in self.tables():
            for index in np.flatnonzero(entries & np.uint64(self.format.software)):
                entry = int(entries[index])
                if self._is_present(entry, level):
                    yield table + 8 * int(index), level, entry
