# SPDX-License-Identifier: BSD-3-Clause
"""Finds the pages that differ, at the speed that memory can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from khorig.mem.errors import DecodeError
from khorig.mem.formats import DumpMemory
from khorig.mem.memory import PhysRange, range_at

Int64Array = npt.NDArray[np.int64]

_CHUNK = 512 << 10  # bytes; two of them and the result stay in the cache
_FORGET = 64 << 20  # bytes read between two times that memory is given back


@dataclass(frozen=True, eq=False)
class ChangedPages:
    """What is not the same in two memories."""

    frames: Int64Array  # ascending, of pages that both have
    only_a: tuple[PhysRange, ...]  # RAM that the other has not
    only_b: tuple[PhysRange, ...]
    unreadable: tuple[PhysRange, ...]  # left out of one of the dumps, or damaged there
    compared: int  # bytes looked at in both; what neither file has bytes for is equal


def find_changed(a: DumpMemory, b: DumpMemory, page_size: int) -> ChangedPages:
    """Never raises for what is in the files."""
    common = intersection(a.ranges, b.ranges)
    parts: list[Int64Array] = [np.empty(0, dtype=np.int64)]
    unreadable: list[PhysRange] = []
    compared = since = 0
    for piece in _pieces(intersection(common, union(a.data(), b.data())), common, page_size):
        changed = _compare(a, b, piece, page_size)
        if changed is None:
            changed = _one_by_one(a, b, piece, page_size, unreadable)
        if len(changed):
            parts.append(changed + piece.begin // page_size)
        compared += piece.size
        since += piece.size
        if since >= _FORGET:
            a.forget()
            b.forget()
            since = 0
    return ChangedPages(
        np.concatenate(parts),
        tuple(difference(a.ranges, common)),
        tuple(difference(b.ranges, common)),
        tuple(unreadable),
        compared - sum(r.size for r in unreadable),
    )


def _pieces(
    areas: Sequence[PhysRange], ranges: Sequence[PhysRange], page_size: int
) -> Iterator[PhysRange]:
    """The areas, widened to whole pages where memory has them, in chunks."""
    reach = 0
    for area in areas:
        whole = range_at(ranges, area.begin)
        begin = max(reach, area.begin - area.begin % page_size, whole.begin)
        end = min(-(-area.end // page_size) * page_size, whole.end)
        reach = max(reach, end)
        while begin < end:
            size = min(_CHUNK - begin % page_size, end - begin)
            yield PhysRange(begin, size)
            begin += size


def _compare(a: DumpMemory, b: DumpMemory, piece: PhysRange, page_size: int) -> Int64Array | None:
    """The pages of a piece that differ, counted from its first; None when it cannot be read."""
    try:
        mine, theirs = a.view(piece.begin, piece.size), b.view(piece.begin, piece.size)
    except DecodeError:
        return None
    whole = piece.size & -page_size
    found: Int64Array = np.empty(0, dtype=np.int64)
    if whole:
        # The memory is a page's multiple long, so it is whole words.
        unequal = np.frombuffer(mine[:whole], np.uint64) != np.frombuffer(theirs[:whole], np.uint64)
        if unequal.any():
            found = np.flatnonzero(unequal.reshape(-1, page_size // 8).any(axis=1))
    if mine[whole:] != theirs[whole:]:
        found = np.append(found, whole // page_size)
    return found


def _one_by_one(
    a: DumpMemory, b: DumpMemory, piece: PhysRange, page_size: int, unreadable: list[PhysRange]
) -> Int64Array:
    """The same for a piece with pages that cannot be read; those are kept."""
    found = []
    for number, at in enumerate(range(piece.begin, piece.end, page_size)):
        page = PhysRange(at, min(page_size, piece.end - at))
        changed = _compare(a, b, page, page_size)
        if changed is None:
            if unreadable and unreadable[-1].end == at:
                page = PhysRange(unreadable[-1].begin, unreadable.pop().size + page.size)
            unreadable.append(page)
        elif len(changed):
            found.append(number)
    return np.array(found, dtype=np.int64)


def intersection(left: Sequence[PhysRange], right: Sequence[PhysRange]) -> list[PhysRange]:
    """Both are ascending and disjoint, and so is the result."""
    found = []
    i = j = 0
    while i < len(left) and j < len(right):
        begin, end = max(left[i].begin, right[j].begin), min(left[i].end, right[j].end)
        if begin < end:
            found.append(PhysRange(begin, end - begin))
        if left[i].end < right[j].end:
            i += 1
        else:
            j += 1
    return found


def union(left: Sequence[PhysRange], right: Sequence[PhysRange]) -> list[PhysRange]:
    """As `intersection`; ranges that touch become one."""
    found: list[PhysRange] = []
    for r in sorted([*left, *right]):
        if found and r.begin <= found[-1].end:
            last = found.pop()
            r = PhysRange(last.begin, max(last.end, r.end) - last.begin)
        found.append(r)
    return found


def difference(ranges: Sequence[PhysRange], without: Sequence[PhysRange]) -> list[PhysRange]:
    """What of `ranges` is not in `without`, which lies inside them."""
    found = []
    for r in ranges:
        at = r.begin
        for hole in without:
            if r.begin <= hole.begin < r.end:
                if at < hole.begin:
                    found.append(PhysRange(at, hole.begin - at))
                at = hole.end
        if at < r.end:
            found.append(PhysRange(at, r.end - at))
    return found
