# SPDX-License-Identifier: BSD-3-Clause
"""Symbolizes guest addresses."""

from __future__ import annotations

import bisect
import struct
from pathlib import Path

from khorig.vm.elf_file import ElfFile
from khorig.vm.symbols_lines import SourceLines

_MAGIC = 0x4D59534B  # kernel/cpus/symbols.h
_LONGEST_NAME = 60  # characters
_LANDMARK = ("start_kernel", "init/main.c")  # a function of every Linux, and its file


class Symbols:
    """Functions of a kernel, read from its ELF: khorig's from the table in its image
    (kernel/cpus/symbols.h), others from the ELF's symbol table. Files and lines come from DWARF,
    where the ELF has it."""

    def __init__(self, elf_path: Path | None = None) -> None:
        """Without ELF, or without a table in it, there are no names. Raises OSError if the ELF is
        missing."""
        self._addresses: list[int] = []
        self._names: list[str] = []
        self._begin = self._end = 0  # of text
        self._image = (0, 0)  # linked address and size
        self._lines = SourceLines(None, "")
        self._path = elf_path
        try:
            if elf_path is not None:
                self._read(elf_path, ElfFile(elf_path))
        except (ValueError, struct.error):
            self._addresses, self._image = [], (0, 0)

    def _read(self, path: Path, elf: ElfFile) -> None:
        if (table := elf.section(".symbols")) is not None:
            base, self._end = elf.symbol("__image_begin"), elf.symbol("__text_end")
            self._begin = base
            self._read_own(table, base)
            self._image = (base, elf.symbol("__image_end") - base)
            source_of = None
        else:
            functions = elf.functions()
            self._addresses = sorted(functions)
            self._names = [functions[address] for address in self._addresses]
            self._begin, self._end = elf.text()
            self._image = _linux_image(elf)
            source_of = next((a for a, n in functions.items() if n == _LANDMARK[0]), None)
        if elf.section(".debug_line") is not None:
            self._lines = SourceLines(path, _LANDMARK[1], source_of)

    def _read_own(self, table: bytes, base: int) -> None:
        magic, count = struct.unpack_from("<II", table)
        if magic != _MAGIC:
            return
        for offset, name_offset in struct.iter_unpack("<II", table[8 : 8 + 8 * count]):
            name = table[name_offset : table.find(b"\0", name_offset)]
            self._addresses.append(base + offset)
            self._names.append(name.decode("utf-8", "replace"))

    def address(self, name: str) -> int | None:
        """The linked address of a function, None without it."""
        return self._addresses[self._names.index(name)] if name in self._names else None

    def describe(
        self, pc: int, loaded_at: int | None = None, returns: bool = False, lines: bool = True
    ) -> str:
        """ "0xffffffff80001234 base::Panic+0x34 (kernel/cpus/panic.cc:63)", without what is not
        known; an inlined function is named behind the line. `loaded_at`: where the image lies in
        RAM, for the code that runs before it is mapped to its linked address. `returns`: `pc` is a
        return address; the line is that of the call."""
        linked = self._linked(pc, loaded_at)
        index = bisect.bisect_right(self._addresses, linked) - 1
        if index < 0 or not self._begin <= linked < self._end:
            return f"{pc:#018x}"
        name = self._names[index]
        line = self._lines.of(linked - returns, name) if lines else ""
        if name.startswith("_Z"):  # a template that binutils do not demangle
            place, _, inlined = line.partition(", ")
            if inlined:
                return f"{pc:#018x} {inlined} ({place})"
            name = name[:_LONGEST_NAME] + "..."
        text = f"{pc:#018x} {name}+{linked - self._addresses[index]:#x}"
        return f"{text} ({line})" if line else text

    def code_at(self, pc: int, loaded_at: int, size: int) -> bytes:
        """What the kernel's image has at an address, b"" where it has nothing. `loaded_at`: see
        `describe`."""
        try:
            if self._path is not None:
                return ElfFile(self._path).bytes_at(self._linked(pc, loaded_at), size)
        except (OSError, ValueError):
            pass
        return b""

    def _linked(self, pc: int, loaded_at: int | None) -> int:
        base, size = self._image
        if loaded_at is not None and loaded_at <= pc < loaded_at + size:
            return base + pc - loaded_at
        return pc


def _linux_image(elf: ElfFile) -> tuple[int, int]:
    """Linked address and size of a Linux, as it is loaded."""
    try:
        begin = elf.symbol("_text")
        return begin, elf.symbol("_end") - begin
    except ValueError:
        return 0, 0
