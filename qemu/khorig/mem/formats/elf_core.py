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
import numpy.typing as npt

from khorig.mem import untrusted
from khorig.mem.formats.segments import MAX_SEGMENTS
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
_PROGRAMS = {
    1: "ELF object file (a kernel module?)",
    2: "ELF executable (vmlinux?)",
    3: "ELF executable or shared library",
}
_LOAD, _NOTE = 1, 4
_MANY_PROGRAMS = 0xFFFF
_MAX_PROGRAMS = MAX_SEGMENTS + 1  # and a note
# QEMU calls a PC an i386 while its CPU is not in 64-bit mode.
_ARCHITECTURES = {3: "x86_64", 62: "x86_64", 183: "arm64"}
QEMU_NOTE = b"QEMU"  # the name of the notes that QEMU alone writes, the state of a CPU
_MAX_NOTE_BYTES = 64 << 20  # of all segments of notes: a machine has a few KiB for each CPU
MAX_NOTES = 1 << 18
_MAX_NAME = 64  # bytes of a note's name
_MAX_VMCOREINFO = 1 << 20  # bytes; Linux has a page, which it may double
# Of notes named CORE, those that only the core of a process has (include/uapi/linux/elf.h).
_PRPSINFO, _AUXV, _FILE = 3, 6, 0x46494C45
_PROCESS_NOTES = (_PRPSINFO, _AUXV, _FILE)
_PROCESS_NAME = slice(40, 56)  # pr_fname in the elf_prpsinfo of a 64-bit machine
_NO_ADDRESS = 1 << 52  # p_paddr of what has no physical address is -1


@dataclass(frozen=True)
class ElfCore:
    """Where memory lies in the file."""

    arch: str
    regions: list[RamRegion]
    left_out: list[PhysRange]  # RAM that the file has no bytes for
    vmcoreinfo: bytes  # the note's content, empty where there is none
    by_qemu: bool


def read_elf_core(source: Source) -> ElfCore:
    """Raises ValueError when it is no such core."""
    header = _HEADER.unpack(source.view(0, _HEADER.size))
    width, order, kind, machine = header[0], header[1], header[4], header[5]
    if width != _64_BIT or order != _LITTLE_ENDIAN:
        raise ValueError("ELF file of another width or byte order, expected 64-bit little-endian")
    if kind in _PROGRAMS:
        raise ValueError(f"{_PROGRAMS[kind]}, not a core")
    if kind != _CORE:
        raise ValueError(f"ELF file of type {kind}, not a core")
    if machine not in _ARCHITECTURES:
        raise ValueError(f"ELF core of machine {machine}: only x86_64 and arm64 can be read")
    at, sections, entry, count = header[8], header[9], header[12], header[13]
    if count == _MANY_PROGRAMS:
        count = int.from_bytes(source.view(sections + _SECTION_INFO, 4), "little")
    if entry != _PROGRAM.itemsize or not 0 < count <= _MAX_PROGRAMS:
        raise ValueError(
            f"ELF core with {count} program headers of {entry} bytes, "
            f"expected 1 to {_MAX_PROGRAMS} of {_PROGRAM.itemsize}"
        )
    table = np.frombuffer(source.view(at, count * entry), dtype=_PROGRAM)
    loads = table[(table["type"] == _LOAD) & (table["paddr"] < _NO_ADDRESS)]
    regions = [
        RamRegion(int(load["paddr"]), int(load["filesz"]), int(load["offset"]))
        for load in loads[loads["filesz"] > 0]
    ]
    left_out = [
        PhysRange(int(load["paddr"]) + int(load["filesz"]), int(load["memsz"] - load["filesz"]))
        for load in loads[loads["memsz"] > loads["filesz"]]
    ]
    notes = read_notes(source, table[table["type"] == _NOTE])
    if notes.process is not None and not notes.by_machine:
        raise ValueError(f"core of a process{notes.process}, not of a machine")
    if not regions:
        raise ValueError("ELF core without memory")
    return ElfCore(_ARCHITECTURES[machine], regions, left_out, notes.vmcoreinfo, notes.by_qemu)


@dataclass
class Notes:
    """What is of interest in a core's notes."""

    vmcoreinfo: bytes = b""
    by_qemu: bool = False
    process: str | None = None  # the name of the program in parentheses, "" where it has none

    @property
    def by_machine(self) -> bool:
        """Whether one at least is a note that only the core of a machine has."""
        return self.by_qemu or bool(self.vmcoreinfo)

    def add(self, raw: memoryview, most: int) -> int:
        """Looks at `most` notes of a segment at most. Returns how many it looked at."""
        count = 0
        for name, kind, content in notes_in(raw):
            if count == most:
                break
            count += 1
            if name == b"VMCOREINFO" and len(content) <= _MAX_VMCOREINFO:
                self.vmcoreinfo = bytes(content)
            elif name == QEMU_NOTE:
                self.by_qemu = True
            elif name == b"CORE" and kind in _PROCESS_NOTES:
                self.process = self.process or ""
                if kind == _PRPSINFO:
                    program = printable(bytes(content[_PROCESS_NAME]))
                    self.process = f" ({program})" if program else ""
        return count


def read_notes(source: Source, headers: npt.NDArray[np.void]) -> Notes:
    """The notes of some program headers. However many headers name one segment, it is looked at
    once, and in all no more than MAX_NOTES notes in _MAX_NOTE_BYTES. Raises ValueError for a
    segment that is not inside the file."""
    notes = Notes()
    seen: set[int] = set()
    left, room = MAX_NOTES, _MAX_NOTE_BYTES
    for begin, size in zip(headers["offset"].tolist(), headers["filesz"].tolist()):
        size = min(size, room)
        if begin in seen or not size or not left:
            continue
        seen.add(begin)
        room -= size
        left -= notes.add(source.view(begin, size), left)
    return notes


def notes_in(raw: memoryview) -> Iterator[tuple[bytes, int, memoryview]]:
    """Name, type and content of each note, up to the first that does not fit."""
    at = 0
    while at + 12 <= len(raw):
        name_size, size, kind = struct.unpack_from("<III", raw, at)
        name_at = at + 12
        content_at = name_at + (name_size + 3 & ~3)
        at = content_at + (size + 3 & ~3)
        if content_at + size > len(raw):
            return
        name = raw[name_at : name_at + min(name_size, _MAX_NAME)]
        yield bytes(name).rstrip(b"\0"), kind, raw[content_at : content_at + size]


def printable(raw: bytes) -> str:
    """A string of a dump, up to its terminator, as it may be shown on a terminal."""
    text = raw.split(b"\0")[0].decode("ascii", "replace")
    return untrusted.printable(text)


def parse_vmcoreinfo(content: bytes) -> dict[str, str]:
    """The lines NAME=VALUE that Linux describes itself with, printable whatever the dump has."""
    lines = content.split(b"\0")[0].split(b"\n")
    pairs = (printable(line).split("=", 1) for line in lines if b"=" in line)
    return {name: value for name, value in pairs}
