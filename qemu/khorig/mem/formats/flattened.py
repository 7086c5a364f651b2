# SPDX-License-Identifier: BSD-3-Clause
"""makedumpfile's flattened format, which QEMU writes kdump in: pieces of a file, in any sequence.

Both write pieces of one size one behind the other, millions of them for a server. Such a run of
pieces is kept as one.
"""

from __future__ import annotations

import heapq
import struct
from array import array
from bisect import bisect_right
from itertools import pairwise
from typing import Iterator

import numpy as np
import numpy.typing as npt

from khorig.mem.formats.source import Source
from khorig.mem.guest_ram import Extent

MAGIC = b"makedumpfile\0"
_HEADER = struct.Struct(">16sqq")  # signature, type, version
_FIRST = 4096  # offset of the first piece: the header is padded
_PIECE = struct.Struct(">qq")  # offset in the file to be, size
_PIECES = np.dtype([("offset", ">i8"), ("size", ">i8")])
_END = -1
_TOGETHER = 4096  # headers of pieces that are looked at together
# makedumpfile cuts its stream of pages for every 682 of them: enough for some 2 TiB.
_MAX_RUNS = 1 << 21
_MAX_OFFSET = 1 << 52


class _Runs:
    """Runs of pieces of one size, which follow one another here and in the file to be; parallel
    arrays."""

    def __init__(self) -> None:
        self.begins = array("q")  # offset in the file to be
        self.ends = array("q")
        self.sizes = array("q")  # of each piece
        self.places = array("q")  # offset here of the first piece's content

    def __len__(self) -> int:
        return len(self.begins)

    def add(self, begin: int, end: int, size: int, place: int) -> None:
        """A run behind the others."""
        self.begins.append(begin)
        self.ends.append(end)
        self.sizes.append(size)
        self.places.append(place)


class Flattened:
    """The file that the pieces make. Of pieces that overlap, the later one counts."""

    def __init__(self, inner: Source) -> None:
        """Takes `inner` over. Raises ValueError when it is damaged."""
        self._inner = inner
        _, kind, version = _HEADER.unpack(inner.view(0, _HEADER.size))
        if (kind, version) != (1, 1):
            raise ValueError(f"flattened file of type {kind}, version {version}, expected 1 and 1")
        self._runs = runs = _read_runs(inner)
        if not len(runs):
            raise ValueError("flattened file without content")
        begins, ends = np.array(runs.begins), np.array(runs.ends)
        self._size = int(ends.max())
        sequence = np.argsort(begins, kind="stable")
        # What counts at each offset: ascending begins and ends, and the run that each is a part of.
        if (begins[sequence[1:]] < ends[sequence[:-1]]).any():
            self._begins, self._ends, self._whose = _without_overlaps(runs)
        else:
            self._begins = array("q", begins[sequence].tobytes())
            self._ends = array("q", ends[sequence].tobytes())
            self._whose = array("q", sequence.tobytes())

    @property
    def size(self) -> int:
        """See Source."""
        return self._size

    def view(self, offset: int, size: int) -> memoryview:
        """See Source. What no piece covers is zero."""
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError(
                f"file too short: {size:#x} bytes expected at {offset:#x}, "
                f"it ends at {self._size:#x}"
            )
        number = max(0, bisect_right(self._begins, offset) - 1)
        pieces = self._pieces(number, offset, offset + size)
        begin, end, place = next(pieces, (offset, offset, 0))
        if begin == offset and end == offset + size:
            return self._inner.view(place, size)
        if size > self._inner.size:
            raise ValueError(f"{size:#x} bytes out of a file of {self._inner.size:#x}")
        result = bytearray(size)
        while begin < end:
            result[begin - offset : end - offset] = self._inner.view(place, end - begin)
            begin, end, place = next(pieces, (0, 0, 0))
        return memoryview(result).toreadonly()

    def _pieces(self, number: int, offset: int, limit: int) -> Iterator[tuple[int, int, int]]:
        """(begin, end, offset here) of the parts of pieces between two offsets, ascending."""
        while number < len(self._begins) and self._begins[number] < limit:
            run = self._whose[number]
            first, size = self._runs.begins[run], self._runs.sizes[run]
            begin = max(offset, self._begins[number])
            end = min(limit, self._ends[number])
            while begin < end:
                piece, inside = divmod(begin - first, size)
                stop = min(end, begin + size - inside)
                place = self._runs.places[run] + piece * (size + _PIECE.size) + inside
                yield begin, stop, place
                begin = stop
            number += 1

    def extents(self) -> Iterator[Extent]:
        """See Source."""
        return ((begin, end - begin) for begin, end in zip(self._begins, self._ends))

    def forget(self) -> None:
        """See Source."""
        self._inner.forget()

    def close(self) -> None:
        """See Source."""
        self._inner.close()


def _read_runs(inner: Source) -> _Runs:
    """All runs as they come. Raises ValueError."""
    runs = _Runs()
    at = _FIRST
    while True:
        offset, size = _PIECE.unpack(inner.view(at, _PIECE.size))
        if offset == _END:
            return runs
        at += _PIECE.size
        if not 0 <= offset < _MAX_OFFSET or size <= 0 or at + size > inner.size:
            raise ValueError(f"piece of {size:#x} bytes for {offset:#x} at {at:#x}")
        if len(runs) == _MAX_RUNS:
            raise ValueError(f"more than {_MAX_RUNS} runs of pieces")
        place, end = at, offset + size
        at += size
        while count := _following(inner, at, end, size):
            at += count * (size + _PIECE.size)
            end += count * size
        runs.add(offset, end, size, place)


def _following(inner: Source, at: int, offset: int, size: int) -> int:
    """How many pieces of `size` bytes, the first of them for `offset`, follow one another from `at`
    on; _TOGETHER at most."""
    step = size + _PIECE.size
    most = min(_TOGETHER, (inner.size - at) // step)
    if most <= 0 or _PIECE.unpack(inner.view(at, _PIECE.size)) != (offset, size):
        return 0
    heads: npt.NDArray[np.void]
    heads = np.ndarray((most,), _PIECES, inner.view(at, most * step), strides=(step,))
    expected = offset + np.arange(most, dtype=np.int64) * size
    wrong = np.flatnonzero((heads["offset"] != expected) | (heads["size"] != size))
    return int(wrong[0]) if len(wrong) else most


def _without_overlaps(runs: _Runs) -> tuple[array[int], array[int], array[int]]:
    """Rare: a writer that came back to its header. At each offset the latest run counts. Takes
    n log n steps whatever the runs are."""
    begins, ends = np.array(runs.begins), np.array(runs.ends)
    bounds = array("q", np.unique(np.concatenate([begins, ends])).tobytes())
    sequence = array("q", np.argsort(begins, kind="stable").tobytes())
    active: list[int] = []  # negative numbers of runs: the latest comes first
    ahead = 0
    result = array("q"), array("q"), array("q")
    for low, high in pairwise(bounds):
        while ahead < len(sequence) and runs.begins[sequence[ahead]] <= low:
            heapq.heappush(active, -sequence[ahead])
            ahead += 1
        while active and runs.ends[-active[0]] <= low:
            heapq.heappop(active)
        if active:
            for column, value in zip(result, (low, high, -active[0])):
                column.append(value)
    return result
