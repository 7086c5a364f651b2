# SPDX-License-Identifier: BSD-3-Clause
"""The tables that an IOMMU walks, from the one that its register names."""

from __future__ import annotations

import struct
from typing import Iterator

from khorig.kho.clients.live_device import LiveIommu
from khorig.mem.memory import PhysicalMemory, read_bytes

_PAGE = 4096
_ADDRESS = 0x0000_FFFF_FFFF_F000
_PRESENT = 1
_TABLE = 3  # the low bits of a stage 1 entry that names a table
_LEVELS = 3  # of page tables; what the lowest names are pages
_STREAMS, _STREAM_BYTES = 256, 64
_MOST = 4096  # tables; a cycle ends there


def walked_tables(memory: PhysicalMemory, iommu: LiveIommu) -> Iterator[int]:
    """Physical addresses of the pages of all tables; at most 4096. Raises OutsideRam."""
    walk = _walk_vtd if iommu.kind == "vtd" else _walk_smmu
    for number, address in enumerate(walk(memory, iommu.root)):
        if number == _MOST:
            return
        yield address


def _words(memory: PhysicalMemory, address: int, count: int = _PAGE // 8) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", read_bytes(memory, address, 8 * count))


def _walk_vtd(memory: PhysicalMemory, root: int) -> Iterator[int]:
    """Root table, context tables, and second-level tables (VT-d 3.4, 9.1, 9.3, 9.10)."""
    yield root
    for entry in _words(memory, root)[::2]:
        if not entry & _PRESENT:
            continue
        yield entry & _ADDRESS
        for context in _words(memory, entry & _ADDRESS)[::2]:
            if context & _PRESENT:
                yield from _walk_pages(memory, context & _ADDRESS, _LEVELS, _PRESENT)


def _walk_smmu(memory: PhysicalMemory, root: int) -> Iterator[int]:
    """Linear stream table, context descriptors, and stage 1 tables (IHI 0070, 5.2 and 5.4)."""
    yield from range(root, root + _STREAMS * _STREAM_BYTES, _PAGE)
    for entry in _words(memory, root, _STREAMS * _STREAM_BYTES // 8)[:: _STREAM_BYTES // 8]:
        if not entry & _PRESENT:
            continue
        context = entry & _ADDRESS
        yield context
        yield from _walk_pages(memory, _words(memory, context, 2)[1] & _ADDRESS, _LEVELS, _TABLE)


def _walk_pages(memory: PhysicalMemory, table: int, levels: int, valid: int) -> Iterator[int]:
    yield table
    if levels == 1:
        return
    for entry in _words(memory, table):
        if entry & valid == valid:
            yield from _walk_pages(memory, entry & _ADDRESS, levels - 1, valid)
