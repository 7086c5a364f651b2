# SPDX-License-Identifier: BSD-3-Clause
"""Symbolizes guest addresses."""

from __future__ import annotations

import bisect
import struct
from pathlib import Path

from khorig.vm.elf_file import ElfFile

_MAGIC = 0x4D59534B  # kernel/cpus/symbols.h


class Symbols:
    """The symbol table in a kernel image (kernel/cpus/symbols.h), read from its ELF."""

    def __init__(self, elf_path: Path) -> None:
        """Without a table there are no names. Raises OSError if the ELF is missing."""
        self._addresses: list[int] = []
        self._names: list[str] = []
        self._end = 0
        try:
            elf = ElfFile(elf_path)
            if (table := elf.section(".symbols")) is not None:
                self._end = elf.symbol("__text_end")
                self._read(table, elf.symbol("__image_begin"))
        except (ValueError, struct.error):
            self._addresses = []

    def _read(self, table: bytes, base: int) -> None:
        magic, count = struct.unpack_from("<II", table)
        if magic != _MAGIC:
            return
        for offset, name_offset in struct.iter_unpack("<II", table[8 : 8 + 8 * count]):
            name = table[name_offset : table.find(b"\0", name_offset)]
            self._addresses.append(base + offset)
            self._names.append(name.decode("utf-8", "replace"))

    def describe(self, pc: int) -> str:
        """ "0xffffffff80001234 base::Panic+0x34", or the address alone."""
        index = bisect.bisect_right(self._addresses, pc) - 1
        if index < 0 or pc >= self._end:
            return f"{pc:#018x}"
        return f"{pc:#018x} {self._names[index]}+{pc - self._addresses[index]:#x}"
