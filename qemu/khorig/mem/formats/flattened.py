# SPDX-License-Identifier: BSD-3-Clause
"""makedumpfile's flattened format, which QEMU writes kdump in: pieces of a file, in any sequence."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Iterator

from khorig.mem.formats.source import Extent, Source

MAGIC = b"makedumpfile\0"
_HEADER = struct.Struct(">16sqq")  # signature, type, version
_FIRST = 4096  # offset of the first piece: the header is padded
_PIECE = struct.Struct(">qq")  # offset in the file to be, size
_END = -1
_MAX_PIECES = 1 << 22
_MAX_OVERLAPPING = 512  # with more, finding the overlaps would take too long


class Flattened:
    """The file that the pieces make. Of pieces that overlap, the later one counts."""

    def __init__(self, inner: Source) -> None:
        """Takes `inner` over. Raises ValueError when it is damaged."""
        self._inner = inner
        _, kind, version = _HEADER.unpack(inner.view(0, _HEADER.size))
        if (kind, version) != (1, 1):
            raise ValueError(f"a flattened file of type {kind}, version {version}")
        self._pieces = _without_overlaps(list(_pieces(inner)))
        if not self._pieces:
            raise ValueError("a flattened file without content")
        self._begins = [begin for begin, _, _ in self._pieces]
        self._size = max(begin + size for begin, size, _ in self._pieces)

    @property
    def size(self) -> int:
        """See Source."""
        return self._size

    def view(self, offset: int, size: int) -> memoryview:
        """See Source. What no piece covers is zero."""
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError(f"{size:#x} bytes at {offset:#x} of {self._size:#x}")
        number = max(0, bisect_right(self._begins, offset) - 1)
        begin, length, at = self._pieces[number]
        if begin <= offset and offset + size <= begin + length:
            return self._inner.view(at + offset - begin, size)
        if size > self._inner.size:
            raise ValueError(f"{size:#x} bytes out of a file of {self._inner.size:#x}")
        result = bytearray(size)
        for begin, length, at in self._pieces[number:]:
            if begin >= offset + size:
                break
            first, last = max(begin, offset), min(begin + length, offset + size)
            if first < last:
                piece = self._inner.view(at + first - begin, last - first)
                result[first - offset : last - offset] = piece
        return memoryview(result).toreadonly()

    def extents(self) -> Iterator[Extent]:
        """See Source."""
        return iter([(begin, size) for begin, size, _ in self._pieces])

    def forget(self) -> None:
        """See Source."""
        self._inner.forget()

    def close(self) -> None:
        """See Source."""
        self._inner.close()


def _pieces(inner: Source) -> Iterator[tuple[int, int, int]]:
    """(offset in the file to be, size, offset here) as they come."""
    at = _FIRST
    for _ in range(_MAX_PIECES):
        offset, size = _PIECE.unpack(inner.view(at, _PIECE.size))
        at += _PIECE.size
        if offset == _END:
            return
        if offset < 0 or size <= 0 or at + size > inner.size:
            raise ValueError(f"a piece of {size:#x} bytes for {offset:#x} at {at:#x}")
        yield offset, size, at
        at += size
    raise ValueError(f"more than {_MAX_PIECES} pieces")


def _without_overlaps(pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Ascending and disjoint."""
    ordered = sorted(pieces)
    if all(a[0] + a[1] <= b[0] for a, b in zip(ordered, ordered[1:])):
        return ordered
    kept: list[tuple[int, int, int]] = []
    for begin, size, at in pieces:  # rare: a writer that came back to its header
        end = begin + size
        after: list[tuple[int, int, int]] = []
        for other in kept:
            first, length, where = other
            if first + length <= begin or end <= first:
                after.append(other)
                continue
            if first < begin:
                after.append((first, begin - first, where))
            if end < first + length:
                after.append((end, first + length - end, where + end - first))
        kept = after
        kept.append((begin, size, at))
        if len(kept) > _MAX_OVERLAPPING:
            raise ValueError(f"more than {_MAX_OVERLAPPING} pieces, some of which overlap")
    return sorted(kept)
