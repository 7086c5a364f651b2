# SPDX-License-Identifier: BSD-3-Clause
"""All of a memory, piece by piece."""

from __future__ import annotations

from typing import Iterator

from khorig.mem.errors import DecodeError
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import range_at

PIECE = 4 << 20  # bytes, at most
PAGE = 4096  # the smallest; every larger page starts at one of these


def pieces(memory: DumpMemory) -> Iterator[tuple[int, memoryview]]:
    """(address, bytes) of everything that the file has bytes for, ascending, in pieces that start
    at pages; pages that are damaged are left out. Whoever reads drops a view before the next one:
    the memory is told to forget."""
    reach = read = 0
    for area in memory.data():
        whole = range_at(memory.ranges, area.begin)
        begin = max(reach, area.begin & -PAGE, whole.begin)
        end = min(-(-area.end // PAGE) * PAGE, whole.end)
        while begin < end:
            size = min(PIECE, end - begin)
            yield from _readable(memory, begin, size)
            begin += size
            read += size
            if read >= PIECE:
                memory.forget()
                read = 0
        reach = max(reach, end)


def _readable(memory: DumpMemory, begin: int, size: int) -> Iterator[tuple[int, memoryview]]:
    """A piece, or what is left of it when some of its pages are damaged."""
    pending = [(begin, size)]
    while pending:
        begin, size = pending.pop()
        try:
            yield begin, memory.view(begin, size)
        except DecodeError:
            half = size // 2 & -PAGE
            if half:
                pending += [(begin + half, size - half), (begin, half)]
