# SPDX-License-Identifier: BSD-3-Clause
"""Function names for addresses in the guest."""

from __future__ import annotations

import bisect
import struct
from pathlib import Path

_MAGIC = 0x4D59534B  # kernel/base/symbols.h


class Symbols:
    """The symbol table that a kernel image carries (kernel/base/symbols.h), read from its ELF."""

    def __init__(self, elf_path: Path) -> None:
        """An ELF without the table gives no names; a missing one raises OSError."""
        self._addresses: list[int] = []
        self._names: list[str] = []
        self._end = 0
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        with elf_path.open("rb") as stream:
            try:
                elf = ELFFile(stream)
                section = elf.get_section_by_name(".symbols")
                symbols = elf.get_section_by_name(".symtab")
                begin = symbols and symbols.get_symbol_by_name("__image_begin")
                end = symbols and symbols.get_symbol_by_name("__text_end")
                if section is not None and begin and end:
                    self._end = int(end[0]["st_value"])
                    self._read(section.data(), int(begin[0]["st_value"]))
            except (ELFError, struct.error):
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
        """ "0xffffffff80001234 core::Panic+0x34", or the address alone."""
        index = bisect.bisect_right(self._addresses, pc) - 1
        if index < 0 or pc >= self._end:
            return f"{pc:#018x}"
        return f"{pc:#018x} {self._names[index]}+{pc - self._addresses[index]:#x}"
