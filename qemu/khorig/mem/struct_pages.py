# SPDX-License-Identifier: BSD-3-Clause
"""The struct pages of a Linux, found by its own description of itself (VMCOREINFO)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping

import numpy as np
import numpy.typing as npt

from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import read_bytes
from khorig.mem.page_tables import FORMATS, PageTables

_KERNEL_MAP = 0xFFFFFFFF80000000  # x86_64: __START_KERNEL_map
# x86_64, where KASLR does not move it: VMEMMAP_START for page tables of 4 and of 5 levels.
_VMEMMAP = {4: 0xFFFFEA0000000000, 5: 0xFFD4000000000000}
_MOST_BITS = 52  # of a virtual address on arm64
_LARGEST_STRUCT = 256
_STEP = 2 << 20  # bytes of the array that are read at once

Frames = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StructPages:
    """Where a Linux has what it knows of each page frame."""

    tables: PageTables
    bits: int  # of a virtual address
    first: int  # virtual address of that of frame 0; may lie before the array
    size: int  # bytes of one
    flags: int  # offset of the flags
    poisoned: int  # the bit PG_hwpoison

    def poisoned_frames(self, memory: DumpMemory) -> Frames:
        """Frames of RAM with PG_hwpoison, ascending. Raises OutsideRam."""
        shift, found = self.tables.page_shift, [np.empty(0, np.int64)]
        for area in memory.ranges:
            frame, end = area.begin >> shift, area.end >> shift
            while frame < end:
                last = min(end, frame + _STEP // self.size)
                words = np.frombuffer(self._read(memory, frame, last), "<u8")
                flags = words.reshape(last - frame, -1)[:, self.flags // 8]
                bad = np.flatnonzero(flags >> np.uint64(self.poisoned) & np.uint64(1))
                found.append(bad.astype(np.int64) + frame)
                frame = last
        return np.concatenate(found)

    def _read(self, memory: DumpMemory, first: int, end: int) -> bytes:
        """The structs of some frames; zeros for what is not mapped: this Linux does not have it."""
        mask = (1 << self.bits) - 1
        at = self.first + first * self.size & mask
        left = (end - first) * self.size
        content = bytearray()
        while left > 0:
            place = self.tables.translate(at)
            size = min(place.begin + place.size - at, left)
            if place.physical is None:
                content += bytes(size)
            else:
                content += read_bytes(memory, place.physical + at - place.begin, size)
            at, left = at + size & mask, left - size
        return bytes(content)


def find_struct_pages(memory: DumpMemory, vmcoreinfo: bytes, arch: str) -> StructPages | None:
    """None where the description does not tell: no Linux, one built without MEMORY_FAILURE or
    SPARSEMEM_VMEMMAP, or an x86_64 whose KASLR has moved the array."""
    lines = vmcoreinfo.decode("latin-1").splitlines()
    fields = dict(line.partition("=")[::2] for line in lines)
    try:
        shift = int(fields["PAGESIZE"]).bit_length() - 1
        size, flags = int(fields["SIZE(page)"]), int(fields["OFFSET(page.flags)"])
        poisoned = int(fields["NUMBER(PG_hwpoison)"])
        look = _x86_64 if arch == "x86_64" else _arm64
        tables, bits, first = look(memory, fields, shift, size)
    except (KeyError, ValueError):
        return None
    if not 8 <= size <= _LARGEST_STRUCT or size % 8 or flags % 8 or not 0 <= flags <= size - 8:
        return None
    if not 0 <= poisoned < 64:
        return None
    return StructPages(tables, bits, first, size, flags, poisoned)


def _x86_64(
    memory: DumpMemory, fields: Mapping[str, str], shift: int, _: int
) -> tuple[PageTables, int, int]:
    if int(fields["KERNELOFFSET"], 16):
        raise ValueError("KASLR")
    levels = 5 if int(fields["NUMBER(pgtable_l5_enabled)"]) else 4
    top = int(fields["SYMBOL(init_top_pgt)"], 16)
    root = top - _KERNEL_MAP + int(fields["NUMBER(phys_base)"])
    tables = PageTables(memory, FORMATS["x86_64"], shift, root, levels)
    return tables, shift + 9 * levels, _VMEMMAP[levels]


def _arm64(
    memory: DumpMemory, fields: Mapping[str, str], shift: int, size: int
) -> tuple[PageTables, int, int]:
    # VA_BITS is what the kernel was built for, this what the CPU has.
    bits = 64 - int(fields["NUMBER(TCR_EL1_T1SZ)"], 16)
    if not shift < bits <= _MOST_BITS:
        raise ValueError(f"{bits} bits")
    root = int(fields["SYMBOL(swapper_pg_dir)"], 16) - int(fields["NUMBER(kimage_voffset)"], 16)
    levels = -(-(bits - shift) // (shift - 3))
    form = replace(FORMATS["arm64 EL1"], address_bits=bits)
    tables = PageTables(memory, form, shift, root & (1 << 64) - 1, levels)
    start = int(fields["NUMBER(VMEMMAP_START)"], 16)
    return tables, bits, start - (int(fields["NUMBER(PHYS_OFFSET)"], 16) >> shift) * size
