# SPDX-License-Identifier: BSD-3-Clause
"""Writes the memory of a dump as an ELF core, which crash, drgn and gdb open."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from khorig.mem.changed_pages import difference
from khorig.mem.errors import Error
from khorig.mem.formats.dump import Dump, DumpMemory
from khorig.mem.formats.elf_core import parse_vmcoreinfo
from khorig.mem.formats.unpacked import Progress, no_progress
from khorig.mem.memory import PhysRange, range_at
from khorig.mem.pieces import pieces
from khorig.mem.vmcoreinfo import find_vmcoreinfo, note_of

_MACHINES = {"x86_64": 62, "arm64": 183}
_HEADER = struct.Struct("<4s4B8xHHIQQQIHHHHHH")  # ELF-64, gabi 4.1
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_LOAD, _NOTE, _CORE, _ALL = 1, 4, 4, 7
_MANY_PROGRAMS = 0xFFFF  # from here on the number is the sh_info of a section header
_ALIGNMENT = 65536  # of a segment in the file: the largest page
_BLOCK = 4096  # bytes; a block of zeros is a hole
_ZEROS = bytes(_BLOCK)
_TOP = 1 << 64
# __PAGE_OFFSET_BASE_L4 and _L5 of arch/x86/include/asm/page_64_types.h.
_X86_DIRECT_MAP = {"0": 0xFFFF_8880_0000_0000, "1": 0xFF11_0000_0000_0000}


class CannotExport(Error):
    """A dump that no core can be made of."""


@dataclass(frozen=True)
class ElfExport:
    """What was written."""

    arch: str
    ranges: Sequence[PhysRange]  # of the PT_LOADs
    virtual: int | None  # what is added to a physical address for p_vaddr, None where not known
    vmcoreinfo: bytes
    written: int  # bytes of memory that are not zeros


def write_elf(
    dump: Dump, path: Path, arch: str | None = None, progress: Progress = no_progress
) -> ElfExport:
    """Writes an ELF core of all memory that `dump` has to `path`, sparse: zeros take no room.
    `arch` says "x86_64" or "arm64" where the dump does not. There is a PT_LOAD for each range of
    RAM; p_paddr is its physical address, p_vaddr the same, or where VMCOREINFO tells it the one in
    Linux's linear map. VMCOREINFO is taken from the dump, or looked for in its memory. What was
    left out of the dump is in no segment; pages that are damaged read as zeros.

    Raises CannotExport without an architecture, for a file that is the dump itself, and for memory
    that was left out in too many pieces; OSError. Then nothing is left of the file.
    """
    arch = arch or dump.arch
    if arch not in _MACHINES:
        raise CannotExport(f"architecture {arch or 'not known'}, expected {' or '.join(_MACHINES)}")
    if path.exists() and dump.path.exists() and path.samefile(dump.path):
        raise CannotExport(f"{path} is the dump itself")
    info = dump.vmcoreinfo or find_vmcoreinfo(dump.memory)
    try:
        ranges = difference(dump.memory.ranges, dump.memory.left_out())
    except ValueError as error:
        raise CannotExport(str(error)) from error
    virtual = _linear_map(arch, parse_vmcoreinfo(info))
    layout = _Layout(arch, ranges, note_of(info) if info else b"", virtual)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(layout.head())
            file.truncate(layout.size)
            file.flush()
            written = _copy(dump.memory, layout, file.fileno(), progress)
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return ElfExport(arch, ranges, virtual, info, written)


def _linear_map(arch: str, info: dict[str, str]) -> int | None:
    """What Linux's linear map adds to a physical address. x86_64 says nothing of where
    it is: it is at its usual place when the kernel is."""
    try:
        if arch == "arm64":
            bits = int(info["NUMBER(VA_BITS)"], 0)
            return _TOP - (1 << bits) - int(info["NUMBER(PHYS_OFFSET)"], 0)
        if int(info["KERNELOFFSET"], 16) == 0:
            return _X86_DIRECT_MAP[info.get("NUMBER(pgtable_l5_enabled)", "0")]
    except (KeyError, ValueError):
        pass
    return None


class _Layout:
    """Where everything lies in the file."""

    def __init__(
        self, arch: str, ranges: Sequence[PhysRange], note: bytes, virtual: int | None
    ) -> None:
        self._arch = arch
        self._note = note
        self._virtual = virtual
        self.ranges = ranges
        count = len(ranges) + 1
        self._sections_at = _HEADER.size + count * _PROGRAM.size
        self._note_at = self._sections_at + _SECTION.size * (count >= _MANY_PROGRAMS)
        self.offsets: list[int] = []
        at = self._note_at + len(note)
        for r in ranges:
            at = -(-at // _ALIGNMENT) * _ALIGNMENT
            self.offsets.append(at)
            at += r.size
        self.size = at

    def head(self) -> bytes:
        """All that precedes memory."""
        count = len(self.ranges) + 1
        many = count >= _MANY_PROGRAMS
        head = _HEADER.pack(
            b"\x7fELF", 2, 1, 1, 0, _CORE, _MACHINES[self._arch], 1, 0, _HEADER.size,
            self._sections_at if many else 0, 0, _HEADER.size, _PROGRAM.size,
            _MANY_PROGRAMS if many else count, _SECTION.size if many else 0, int(many), 0,
        )  # fmt: skip
        size = len(self._note)
        # p_align is 0 as in /proc/vmcore: with another, crash takes the file for a netdump.
        programs = [_PROGRAM.pack(_NOTE, 0, self._note_at, 0, 0, size, size, 4)]
        for r, offset in zip(self.ranges, self.offsets):
            address = (r.begin + (self._virtual or 0)) % _TOP
            programs.append(_PROGRAM.pack(_LOAD, _ALL, offset, address, r.begin, r.size, r.size, 0))
        section = _SECTION.pack(0, 0, 0, 0, 0, 0, 0, count, 0, 0) if many else b""
        return head + b"".join(programs) + section + self._note


def _copy(memory: DumpMemory, layout: _Layout, sink: int, progress: Progress) -> int:
    """Writes what is not zero, and returns how many bytes that is."""
    begins = [r.begin for r in layout.ranges]
    total = sum(area.size for area in memory.data())
    written = looked_at = 0
    for begin, view in pieces(memory):
        looked_at += len(view)
        content = bytes(view)
        del view
        for first, run in _runs(content):
            at = begin + first
            number = bisect_right(begins, at) - 1
            # A piece lies in one range of RAM, of which no part was left out.
            assert range_at(layout.ranges, at).contains(at, len(run))
            os.pwrite(sink, run, layout.offsets[number] + at - begins[number])
            written += len(run)
        progress(min(looked_at, total), total)
    return written


def _runs(content: bytes) -> list[tuple[int, bytes]]:
    """The blocks that are not zero, those that follow one another as one: offset and bytes."""
    found: list[tuple[int, int]] = []
    for at in range(0, len(content), _BLOCK):
        block = content[at : at + _BLOCK]
        if block != _ZEROS[: len(block)]:
            if found and found[-1][1] == at:
                found[-1] = (found[-1][0], at + len(block))
            else:
                found.append((at, at + len(block)))
    return [(begin, content[begin:end]) for begin, end in found]
