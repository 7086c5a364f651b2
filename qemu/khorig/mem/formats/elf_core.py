# SPDX-License-Identifier: BSD-3-Clause
"""ELF cores of machines: QEMU's dump-guest-memory and Linux's /proc/vmcore.

Read here and not with a library, because a damaged file must cost neither time nor memory: tables
are taken as arrays after their size is known to fit into the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator

import numpy as np

from khorig.mem.formats.source import Source
from khorig.mem.guest_ram import RamRegion
from khorig.mem.memory import PhysRange

MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<4x4B8xHHIQQQIHHHHHH")  # ELF-64, gabi 4.1
_PROGRAM = np.dtype(
    [
        ("type", "<u4"), ("flags", "<u4"), ("offset", "<u8"), ("vaddr", "<u8"),
        ("paddr", "<u8"), ("filesz", "<u8"), ("memsz", "<u8"), ("align", "<u8"),
    ]
)  # fmt: skip
_SECTION_INFO = 44  # offset in a section header of sh_info, where e_phnum is 0xffff
_64_BIT, _LITTLE_ENDIAN = 2, 1
_CORE = 4
_LOAD, _NOTE = 1, 4
_MANY_PROGRAMS = 0xFFFF
_MAX_PROGRAMS = 1 << 16
# QEMU calls a PC an i386 while its CPU is not in 64-bit mode.
_ARCHITECTURES = {3: "x86_64", 62: "x86_64", 183: "arm64"}
QEMU_NOTE = b"QEMU"  # the name of the notes that QEMU alone writes, the state of a CPU
_MAX_NOTES = 64 << 20  # bytes
_NO_ADDRESS = 1 << 52  # p_paddr of what has no physical address is -1


@dataclass(frozen=True)
class ElfCore:
    """Where memory lies in the file."""

    arch: str
    regions: list[RamRegion]
    left_out: list[PhysRange]  # RAM that the file has no bytes for
    vmcoreinfo: dict[str, str]
    by_qemu: bool


def read_elf_core(source: Source) -> ElfCore:
    """Raises ValueError when it is no such core."""
    header = _HEADER.unpack(source.view(0, _HEADER.size))
    width, order, kind, machine = header[0], header[1], header[4], header[5]
    if width != _64_BIT or order != _LITTLE_ENDIAN:
        raise ValueError("an ELF file, but not 64-bit little-endian")
    if kind != _CORE:
        raise ValueError(f"an ELF file of type {kind}, not a core")
    if machine not in _ARCHITECTURES:
        raise ValueError(f"an ELF core of machine {machine}, neither x86-64 nor AArch64")
    at, sections, entry, count = header[8], header[9], header[12], header[13]
    if count == _MANY_PROGRAMS:
        count = int.from_bytes(source.view(sections + _SECTION_INFO, 4), "little")
    if entry != _PROGRAM.itemsize or not 0 < count <= _MAX_PROGRAMS:
        raise ValueError(f"{count} program headers of {entry} bytes")
    table = np.frombuffer(source.view(at, count * entry), dtype=_PROGRAM)
    loads = table[(table["type"] == _LOAD) & (table["paddr"] < _NO_ADDRESS)]
    regions = [
        RamRegion(int(load["paddr"]), int(load["filesz"]), int(load["offset"]))
        for load in loads[loads["filesz"] > 0]
    ]
    if not regions:
        raise ValueError("an ELF core without memory")
    left_out = [
        PhysRange(int(load["paddr"]) + int(load["filesz"]), int(load["memsz"] - load["filesz"]))
        for load in loads[loads["memsz"] > loads["filesz"]]
    ]
    info: dict[str, str] = {}
    names: set[bytes] = set()
    for note in table[table["type"] == _NOTE]:
        begin, size = int(note["offset"]), min(int(note["filesz"]), _MAX_NOTES)
        for name, content in notes_in(source.view(begin, size)):
            names.add(name)
            if name == b"VMCOREINFO":
                info.update(parse_vmcoreinfo(content))
    return ElfCore(_ARCHITECTURES[machine], regions, left_out, info, QEMU_NOTE in names)


def notes_in(raw: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each note, up to the first that does not fit."""
    at = 0
    while at + 12 <= len(raw):
        name_size, size = struct.unpack_from("<II", raw, at)
        name_at = at + 12
        content_at = name_at + (name_size + 3 & ~3)
        at = content_at + (size + 3 & ~3)
        if content_at + size > len(raw):
            return
        yield (
            bytes(raw[name_at : name_at + name_size]).rstrip(b"\0"),
            bytes(raw[content_at : content_at + size]),
        )


def parse_vmcoreinfo(content: bytes) -> dict[str, str]:
    """The lines NAME=VALUE that Linux describes itself with."""
    text = content.split(b"\0")[0].decode("ascii", "replace")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
