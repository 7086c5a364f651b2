# SPDX-License-Identifier: BSD-3-Clause
"""The reader of page tables: entries are written out here as the manuals have them."""

from __future__ import annotations

import mmap
import struct
from typing import Callable

import pytest

from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import OutsideRam, RamMemory
from khorig.mem.page_tables import FORMATS, PageTables

BASE, SIZE = 0x4000_0000, 0x10_0000
X86, EL1, EL2 = "x86_64", "arm64 EL1", "arm64 EL2"
P, RW, PS, NX = 1, 2, 1 << 7, 1 << 63
TABLE, BLOCK, AF, RO, PXN, XN = 3, 1, 1 << 10, 1 << 7, 1 << 53, 1 << 54


class Ram:
    """Tables are pages of 64 KiB from `BASE` on, whatever the page size."""

    def __init__(self) -> None:
        self.ram = GuestRam(memoryview(mmap.mmap(-1, SIZE)), [RamRegion(BASE, SIZE, 0)])

    @staticmethod
    def table(number: int) -> int:
        return BASE + number * 0x1_0000

    def put(self, table: int, index: int, entry: int) -> None:
        self.ram.write(self.table(table) + 8 * index, struct.pack("<Q", entry))

    def tables(self, name: str, levels: int, page_shift: int = 12) -> PageTables:
        return PageTables(RamMemory(self.ram), FORMATS[name], page_shift, BASE, levels)


def chain(name: str, levels: int, page_shift: int, leaf_level: int, leaf: int) -> PageTables:
    """Tables 0, 1, ... that lead through their entries 1 to `leaf` at `leaf_level`."""
    ram, link = Ram(), P | RW if name == X86 else TABLE
    for number in range(levels - leaf_level):
        ram.put(number, 1, ram.table(number + 1) | link)
    ram.put(levels - leaf_level, 1, leaf)
    return ram.tables(name, levels, page_shift)


def address(levels: int, page_shift: int, leaf_level: int) -> int:
    """What the entries 1 of `chain` map."""
    bits = page_shift - 3
    return sum(1 << page_shift + bits * (n - 1) for n in range(leaf_level, levels + 1))


@pytest.mark.parametrize(
    ("name", "levels", "page_shift", "leaf_level", "leaf", "rights"),
    [
        (X86, 4, 12, 1, P | RW, "rwx"),
        (X86, 5, 12, 1, P, "rx"),
        (X86, 5, 12, 2, P | RW | PS | NX, "rw"),
        (X86, 4, 12, 3, P | RW | PS, "rwx"),
        (EL1, 3, 12, 3, BLOCK | AF, "rwx"),
        (EL1, 4, 12, 1, TABLE | AF | RO, "rx"),
        (EL1, 4, 12, 2, BLOCK | AF | XN, "rwx"),
        (EL1, 4, 12, 2, BLOCK | AF | PXN, "rw"),
        (EL2, 4, 12, 2, BLOCK | AF | PXN, "rwx"),
        (EL2, 4, 12, 2, BLOCK | AF | XN, "rw"),
        (EL2, 3, 12, 2, BLOCK, ""),
        (EL1, 4, 14, 1, TABLE | AF, "rwx"),
        (EL1, 4, 14, 2, BLOCK | AF, "rwx"),
        (EL1, 3, 16, 2, BLOCK | AF | RO, "rx"),
        (EL1, 3, 16, 1, TABLE | AF, "rwx"),
    ],
)
def test_what_is_mapped(
    name: str, levels: int, page_shift: int, leaf_level: int, leaf: int, rights: str
) -> None:
    at = address(levels, page_shift, leaf_level)
    size = 1 << page_shift + (page_shift - 3) * (leaf_level - 1)
    tables = chain(name, levels, page_shift, leaf_level, leaf | at)
    found = tables.translate(at + size - 1)
    assert (found.begin, found.size, found.physical, found.rights) == (at, size, at, rights)
    assert (found.level, found.entry) == (leaf_level, leaf | at)
    assert list(tables.own_bits()) == []
    assert len(list(tables.tables())) == levels - leaf_level + 1
    hole = tables.translate(at + size)
    assert (hole.physical, hole.rights, hole.begin) == (None, "", at + size)


@pytest.mark.parametrize(
    ("name", "leaf_level", "leaf"),
    [
        (X86, 1, RW | PS | NX),
        (X86, 4, P | RW | PS),  # no page of 512 GiB
        (EL1, 1, BLOCK | AF),  # of the last level
        (EL1, 4, BLOCK | AF),
        (EL2, 2, 2),
    ],
)
def test_what_is_not(name: str, leaf_level: int, leaf: int) -> None:
    at = address(4, 12, leaf_level)
    found = chain(name, 4, 12, leaf_level, leaf | at).translate(at)
    assert (found.physical, found.level, found.rights) == (None, leaf_level, "")


def test_a_block_of_a_gigabyte_is_one_of_4_kib_pages_alone() -> None:
    at = address(3, 14, 3)
    assert chain(EL1, 3, 14, 3, at | BLOCK | AF).translate(at).physical is None


def test_rights_are_what_every_level_allows() -> None:
    at = address(4, 12, 1)
    for level, entry, rights in ((0, P, "rx"), (1, P | RW | NX, "rw"), (2, P | RW, "rwx")):
        tables = chain(X86, 4, 12, 1, at | P | RW)
        tables.memory.view(Ram.table(level) + 8, 8)[:] = struct.pack(
            "<Q", Ram.table(level + 1) | entry
        )
        assert tables.translate(at).rights == rights
    for name, bit, rights in ((EL1, 59, "rw"), (EL1, 60, "rwx"), (EL2, 60, "rw"), (EL1, 62, "rx")):
        tables = chain(name, 4, 12, 1, at | TABLE | AF)
        entry = Ram.table(1) | TABLE | 1 << bit
        tables.memory.view(Ram.table(0) + 8, 8)[:] = struct.pack("<Q", entry)
        assert tables.translate(at).rights == rights


@pytest.mark.parametrize(
    ("name", "bit", "own"),
    [
        (X86, 9, True), (X86, 11, True), (X86, 52, True), (X86, 58, True), (X86, 62, True),
        (X86, 8, False), (X86, 63, False), (X86, 6, False),
        (EL1, 55, True), (EL2, 58, True), (EL1, 54, False), (EL1, 52, False),
    ],
)  # fmt: skip
def test_bits_of_the_kernel_that_wrote_them(name: str, bit: int, own: bool) -> None:
    leaf = P | RW if name == X86 else TABLE | AF
    tables = chain(name, 4, 12, 1, address(4, 12, 1) | leaf | 1 << bit)
    found = [(at, level) for at, level, _ in tables.own_bits()]
    assert found == ([(Ram.table(3) + 8, 1)] if own else [])
    ram = Ram()
    ram.put(0, 7, 1 << 58)  # not present: the rest of it is nobody's
    assert list(ram.tables(X86, 4).own_bits()) == []


def test_what_no_level_reaches() -> None:
    tables = chain(EL1, 3, 12, 3, BLOCK | AF)
    assert tables.translate(1 << 39).physical is None
    assert tables.translate((1 << 64) - 1).text == "no level of the tables reaches it"
    assert chain(EL1, 3, 16, 2, BLOCK | AF).translate(1 << 48).level == 0


def test_tables_that_lead_outside_of_ram_or_to_themselves() -> None:
    ram = Ram()
    ram.put(0, 3, 0x9000_0000 | TABLE)
    looks: tuple[Callable[[PageTables], object], ...] = (
        lambda t: t.translate(3 << 39),
        lambda t: list(t.tables()),
    )
    for look in looks:
        with pytest.raises(OutsideRam):
            look(ram.tables(EL1, 4))
    ram = Ram()
    for index in range(512):
        ram.put(0, index, ram.table(0) | P | RW)
    tables = ram.tables(X86, 4)
    assert [level for _, level, _ in tables.tables()] == [4, 3, 2, 1]
    assert tables.translate(0x1234).physical == BASE


def test_entries_come_as_the_walk_does() -> None:
    ram = Ram()
    ram.put(0, 1, ram.table(1) | P | RW)
    ram.put(1, 2, ram.table(2) | P)
    ram.put(1, 3, 0x4000_0000 | P | RW | PS)
    ram.put(2, 4, ram.table(3) | P | RW)
    ram.put(3, 5, 0x7000 | P | RW | NX)
    ram.put(3, 6, 0x8000)  # not present
    tables = ram.tables(X86, 4)
    at = address(4, 12, 4)
    gib = (2 << 30, 3 << 30)
    assert [(e.level, e.begin, e.physical, e.rights) for e in tables.entries(64)] == [
        (4, at, ram.table(1), ""),
        (3, at + gib[0], ram.table(2), ""),
        (3, at + gib[1], 0x4000_0000, "rwx"),
        (2, at + gib[0] + (4 << 21), ram.table(3), ""),
        (1, at + gib[0] + (4 << 21) + (5 << 12), 0x7000, "r"),
    ]
    assert len(list(tables.entries(3))) == 3
    for leaf in (entry for entry in tables.entries(64) if entry.rights):
        assert tables.translate(leaf.begin) == leaf
    ram.put(2, 7, (BASE + SIZE) | P)
    with pytest.raises(OutsideRam):
        list(tables.entries(64))


def test_entries_of_a_table_that_leads_to_itself_end() -> None:
    ram = Ram()
    for index in range(512):
        ram.put(0, index, BASE | P | RW)
    assert len(list(ram.tables(X86, 5).entries(1000))) == 1000
