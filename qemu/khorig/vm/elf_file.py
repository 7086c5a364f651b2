# SPDX-License-Identifier: BSD-3-Clause
"""Reads a linked kernel: sections, symbols, bytes by address.

pyelftools reads the same, but takes longer to be imported than everything else that happens before
QEMU starts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMBOLS, _LOAD = 2, 1  # SHT_SYMTAB, PT_LOAD
_NO_TYPE, _OBJECT, _FUNCTION = 0, 1, 2  # STT_NOTYPE, STT_OBJECT, STT_FUNC
_GLOBAL_FUNCTION = 1 << 4 | _FUNCTION  # STB_GLOBAL
_EXECUTE = 4  # SHF_EXECINSTR
_ALIASES = ("__efistub_", "__pi_")  # of arm64's Linux


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class ElfFile:
    """An ELF file of 64 bits, held whole. Every access is checked and raises ValueError for what is
    not there, or not inside of the file."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError, OSError."""
        self._data = path.read_bytes()
        if not self._data.startswith(_MAGIC):
            raise ValueError("no 64-bit ELF")
        fields = _HEADER.unpack(self._take(0, _HEADER.size))
        self._segments = (fields[5], fields[9], fields[10])
        self._sections = self._read_sections(fields[6], fields[11], fields[12], fields[13])
        self._table = self._find_table()

    def section(self, name: str) -> bytes | None:
        """The bytes of a section, None if absent."""
        for section in self._sections:
            if section.name == name:
                return self._take(section.offset, section.size)
        return None

    def symbol(self, name: str) -> int:
        """The value of a symbol."""
        wanted = name.encode()
        for offset, _, value in self._symbols():
            if self._table[1].startswith(wanted + b"\0", offset):
                return value
        raise ValueError(f"no symbol {name}")

    def objects(self, begin: int, end: int) -> list[int]:
        """Addresses of data symbols in [begin, end)."""
        return [
            value
            for _, info, value in self._symbols()
            if begin <= value < end and info & 0xF == _OBJECT
        ]

    def functions(self) -> dict[int, str]:
        """Names of code in executable sections, by address: of several, a global function's, and
        none that the linker gave it for the code that runs before relocation."""
        executable = {n for n, section in enumerate(self._sections) if section.flags & _EXECUTE}
        found: dict[int, tuple[int, str]] = {}
        for name, info, _, section, value, _ in _SYMBOL.iter_unpack(self._table[0]):
            if section not in executable or info & 0xF not in (_NO_TYPE, _FUNCTION):
                continue
            text = _name(self._table[1], name)
            if not text or text[0] in "$.":  # mapping symbols of arm64, labels
                continue
            rank = 0 if text.startswith(_ALIASES) else 1 + (info == _GLOBAL_FUNCTION)
            if value not in found or rank > found[value][0]:
                found[value] = (rank, text)
        return {address: text for address, (_, text) in found.items()}

    def text(self) -> tuple[int, int]:
        """Begin and end of the executable sections."""
        sections = [s for s in self._sections if s.flags & _EXECUTE]
        begin = min((s.address for s in sections), default=0)
        return begin, max((s.address + s.size for s in sections), default=0)

    def bytes_at(self, address: int, size: int) -> bytes:
        """Bytes loaded at a virtual address."""
        for offset, virtual, file_size in self._loaded():
            if virtual <= address and address + size <= virtual + file_size:
                return self._take(offset + address - virtual, size)
        raise ValueError(f"nothing at {address:#x}")

    def text_at(self, address: int) -> str:
        """The NUL-terminated string at a virtual address."""
        for offset, virtual, file_size in self._loaded():
            if virtual <= address < virtual + file_size:
                begin = offset + address - virtual
                end = self._data.index(b"\0", begin, offset + file_size)
                return self._data[begin:end].decode("utf-8")
        raise ValueError(f"nothing at {address:#x}")

    def _loaded(self) -> Iterator[tuple[int, int, int]]:
        """Offset, virtual address and bytes in the file of each segment."""
        first, size, count = self._segments
        for number in range(count):
            header = self._take(first + number * size, _SEGMENT.size)
            kind, _, offset, virtual, _, file_size, _, _ = _SEGMENT.unpack(header)
            if kind == _LOAD:
                yield offset, virtual, file_size

    def _symbols(self) -> Iterator[tuple[int, int, int]]:
        """Offset of the name, type and value of each symbol."""
        for name, info, _, _, value, _ in _SYMBOL.iter_unpack(self._table[0]):
            yield name, info, value

    def _find_table(self) -> tuple[bytes, bytes]:
        """Symbols and their names; empty in a stripped file."""
        for section in self._sections:
            if section.kind == _SYMBOLS:
                if section.link >= len(self._sections):
                    raise ValueError("symbols without names")
                names = self._sections[section.link]
                size = section.size - section.size % _SYMBOL.size
                return self._take(section.offset, size), self._take(names.offset, names.size)
        return b"", b""

    def _read_sections(self, first: int, size: int, count: int, names_at: int) -> list[_Section]:
        headers = [
            _SECTION.unpack(self._take(first + number * size, _SECTION.size))
            for number in range(count)
        ]
        if not headers:
            return []
        if names_at >= count:
            raise ValueError("sections without names")
        names = self._take(headers[names_at][4], headers[names_at][5])
        return [_Section(_name(names, header[0]), *header[1:7]) for header in headers]

    def _take(self, offset: int, size: int) -> bytes:
        if offset + size > len(self._data):
            raise ValueError(f"{size:#x} bytes at {offset:#x} of a file of {len(self._data):#x}")
        return self._data[offset : offset + size]


def _name(names: bytes, offset: int) -> str:
    return names[offset : names.find(b"\0", offset)].decode("utf-8", "replace")
