# SPDX-License-Identifier: BSD-3-Clause
"""Who each preserved page belongs to, as intervals: cost follows the blocks, not their pages."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

import numpy as np

from khorig.kho.blocks import Blocks, BoolArray, Int64Array
from khorig.kho.owned_page import OwnedPage

NOBODY = "nobody"
_NOBODY = -1

Label = Callable[[int], str]


@dataclass(frozen=True)
class Clash:
    """A page with two owners."""

    frame: int
    first: str
    second: str


@dataclass(frozen=True)
class Stray:
    """A page that an owner claims although it is not preserved."""

    frame: int
    owner: str


class Claims:
    """Collects who names which pages. `settle` makes the owners of it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.strays: list[Stray] = []
        self.labels: dict[int, Label] = {}
        self.begins: list[Int64Array] = []
        self.counts: list[Int64Array] = []

    def claim(
        self, begins: Int64Array, counts: Int64Array, owner: str, label: Label | None = None
    ) -> None:
        """`owner` names runs of pages: the first frame and the number of pages of each, two arrays
        of equal length, in the owner's sequence. `label` describes the page at an offset (in pages,
        over all runs) where "owner page n" would not do."""
        if not len(begins):
            return
        if label is not None:
            self.labels[len(self.names)] = label
        self.names.append(owner)
        self.begins.append(begins)
        self.counts.append(counts)

    def claim_pages(self, frames: Int64Array, owner: str, label: Label | None = None) -> None:
        """`claim` for single pages."""
        self.claim(frames, np.ones(len(frames), dtype=np.int64), owner, label)

    def claim_blocks(self, blocks: Blocks, owner: str, label: Label | None = None) -> None:
        """`claim` for blocks."""
        self.claim(blocks.frames, blocks.counts, owner, label)

    def settle(self, blocks: Blocks) -> Owners:
        """Assigns every page of `blocks`, which are disjoint and inside RAM. The first of two
        claims keeps a page. Pages that are claimed and not preserved become strays, one for each
        claim. Of a block whose first page has an owner the pages that nobody names are that
        owner's: blocks are handed over as a whole."""
        sequence = np.argsort(blocks.frames, kind="stable")
        heads = blocks.frames[sequence]
        limits = heads + blocks.counts[sequence]
        pieces = self._pieces(*_merged(heads, limits))
        clashes: dict[int, int] = {}
        if len(pieces.begins) > 1 and (pieces.begins[1:] < pieces.ends[:-1]).any():
            pieces, clashes = _without_overlaps(pieces)
        pieces = _with_gaps(pieces, heads, limits)
        return Owners(pieces, self.names, self.labels, clashes, self.strays)

    def _pieces(self, begins: Int64Array, ends: Int64Array) -> _Pieces:
        """The claims as far as they lie in preserved memory (`begins` and `ends` of its runs),
        ascending by address; what is claimed first comes first at one address."""
        if not self.names:
            return _Pieces.none()
        first, counts = np.concatenate(self.begins), np.concatenate(self.counts)
        lengths = [len(runs) for runs in self.begins]
        owners = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
        before = np.cumsum(counts) - counts
        offsets = before - before[np.searchsorted(owners, owners)]
        last = first + counts
        inside = np.zeros(len(first), dtype=np.bool_)
        limit = first
        if len(begins):
            at = np.searchsorted(begins, first, side="right") - 1
            inside = (at >= 0) & (first < ends[at])
            limit = np.where(inside, np.minimum(last, ends[at]), first)
        self._note_strays(owners, limit, limit < last)
        rests = np.zeros(len(first), dtype=np.int64)
        joined = _Pieces(first, limit, owners, offsets, rests).select(inside)
        return joined.select(np.lexsort((joined.owners, joined.begins)))

    def _note_strays(self, owners: Int64Array, frames: Int64Array, cut: BoolArray) -> None:
        """The first page of each claim that is not preserved: `frames` where `cut`."""
        numbers, places = np.unique(owners[cut], return_index=True)
        for number, frame in zip(numbers.tolist(), frames[cut][places].tolist()):
            self.strays.append(Stray(frame, self.names[number]))


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Runs of pages of one owner each; parallel arrays."""

    FIELDS = ("begins", "ends", "owners", "offsets", "rests")

    begins: Int64Array  # first frame
    ends: Int64Array  # the frame behind the last
    owners: Int64Array  # place among the claims, -1 for nobody
    offsets: Int64Array  # of the first page in its owner, in pages; of a rest that of its block
    rests: Int64Array  # 1 for pages that nobody names, of a block whose first page is the owner's

    @staticmethod
    def none() -> _Pieces:
        empty: Int64Array = np.empty(0, dtype=np.int64)
        return _Pieces(empty, empty, empty, empty, empty)

    def select(self, which: Int64Array | BoolArray) -> _Pieces:
        return _Pieces(*(getattr(self, name)[which] for name in _Pieces.FIELDS))


def _merged(begins: Int64Array, ends: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Ascending disjoint runs with those that touch made one."""
    if not len(begins):
        return begins, ends
    cuts = np.flatnonzero(begins[1:] != ends[:-1]) + 1
    return begins[np.concatenate([[0], cuts])], ends[np.concatenate([cuts - 1, [len(ends) - 1]])]


def _without_overlaps(pieces: _Pieces) -> tuple[_Pieces, dict[int, int]]:
    """Gives each page to the earliest claim, and finds for each claim the first page, by address,
    that another one has as well. Only for a handover in which pages have two owners, so
    it need not be fast, but it is n log n whatever the claims are."""
    rows = list(zip(*(getattr(pieces, name).tolist() for name in _Pieces.FIELDS[:4])))
    bounds = sorted({row[0] for row in rows} | {row[1] for row in rows})
    clashes: dict[int, int] = {}
    active: list[tuple[int, int, int, int]] = []  # owner, row, begin, end: the earliest claim first
    result: list[tuple[int, int, int, int]] = []
    ahead = 0
    for low, high in zip(bounds, bounds[1:]):
        while ahead < len(rows) and rows[ahead][0] <= low:
            begin, end, owner, _ = rows[ahead]
            while active and active[0][3] <= low:
                heapq.heappop(active)
            if active and end > low:
                clashes.setdefault(max(owner, active[0][0]), low)
            heapq.heappush(active, (owner, ahead, begin, end))
            ahead += 1
        while active and active[0][3] <= low:
            heapq.heappop(active)
        if active:
            owner, row, begin, _ = active[0]
            result.append((low, high, owner, rows[row][3] + low - begin))
    table = np.array(result, dtype=np.int64).reshape(-1, 4)
    rests = np.zeros(len(table), dtype=np.int64)
    begins, ends, owners, offsets = (table[:, column].copy() for column in range(4))
    joined = _Pieces(begins, ends, owners, offsets, rests)
    return joined, dict(sorted(clashes.items()))


def _with_gaps(pieces: _Pieces, heads: Int64Array, limits: Int64Array) -> _Pieces:
    """The pieces with what lies between them: the rest of an owner's block, or nobody's pages."""
    if not len(heads):
        return pieces
    runs = _merged(heads, limits)
    covered = _merged(pieces.begins, pieces.ends)
    begins, ends = _difference(*runs, *covered)
    if not len(begins):
        return pieces
    # A gap goes on over heads of blocks: what begins there is a gap of its own.
    inside = np.searchsorted(begins, heads, side="right") - 1
    split = heads[(inside >= 0) & (heads > begins[inside]) & (heads < ends[inside])]
    starts = np.sort(np.concatenate([begins, split]))
    stops = np.minimum(
        np.append(starts[1:], ends[-1]), ends[np.searchsorted(begins, starts, side="right") - 1]
    )
    owners = np.full(len(starts), _NOBODY, dtype=np.int64)
    offsets = np.zeros(len(starts), dtype=np.int64)
    head = heads[np.searchsorted(heads, starts, side="right") - 1]
    if len(pieces.begins):
        at = np.searchsorted(pieces.begins, head, side="right") - 1
        owned = (at >= 0) & (head < pieces.ends[at])
        owners[owned] = pieces.owners[at[owned]]
        offsets[owned] = (pieces.offsets[at] + head - pieces.begins[at])[owned]
    rests = (owners != _NOBODY).astype(np.int64)
    gaps = _Pieces(starts, stops, owners, offsets, rests)
    joined = _Pieces(
        *(np.concatenate([getattr(p, name) for p in (pieces, gaps)]) for name in _Pieces.FIELDS)
    )
    return joined.select(np.argsort(joined.begins, kind="stable"))


def _difference(
    begins: Int64Array, ends: Int64Array, holes: Int64Array, hole_ends: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """What of ascending disjoint runs is in none of the holes, which lie inside them."""
    starts = np.sort(np.concatenate([begins, hole_ends]))
    stops = np.sort(np.concatenate([ends, holes]))
    kept = starts < stops
    return starts[kept], stops[kept]


class Owners:
    """The owner of every preserved page, as the handover's own structures name it. `Claims` makes
    it.

    `begins`, `ends`, `ids` and `offsets` are parallel arrays over runs of pages, ascending by
    address and disjoint, that together are all preserved pages: first frame, the frame behind the
    last, place of the owner in `names` (-1 for nobody), and the first page's offset in its owner.
    """

    def __init__(
        self,
        pieces: _Pieces,
        names: Sequence[str],
        labels: dict[int, Label],
        clashes: Mapping[int, int],
        strays: Sequence[Stray],
    ) -> None:
        self.begins, self.ends = pieces.begins, pieces.ends
        self.ids, self.offsets = pieces.owners, pieces.offsets
        self._rests = pieces.rests
        self.names = tuple(names)
        self.strays = tuple(strays)
        self._labels = labels
        # For one frame: see BlockIndex.
        self._begins = array("q", self.begins.tobytes())
        self._ends = array("q", self.ends.tobytes())
        self._pages = np.bincount(
            self.ids + 1, weights=self.ends - self.begins, minlength=len(names) + 1
        ).astype(np.int64)
        self.clashes = tuple(
            Clash(frame, self.name(frame), names[second]) for second, frame in clashes.items()
        )

    def __repr__(self) -> str:
        return f"<{self.page_count} pages in {len(self.begins)} runs of {len(self.names)} owners>"

    @property
    def page_count(self) -> int:
        """All preserved pages."""
        return int((self.ends - self.begins).sum())

    @property
    def frames(self) -> Int64Array:
        """All preserved page frames, ascending: as large as the memory they are of."""
        return expand(self.begins, self.ends)

    def _at(self, frame: int) -> int:
        at = bisect_right(self._begins, frame) - 1
        return at if at >= 0 and frame < self._ends[at] else -1

    def owner(self, frame: int) -> str:
        """Whose a page is, without its place there: "khorig/stores/db0". "" for a page that is not
        preserved, "nobody" for one that no owner claims."""
        at = self._at(frame)
        if at < 0:
            return ""
        number = int(self.ids[at])
        return NOBODY if number == _NOBODY else self.names[number]

    def name(self, frame: int) -> str:
        """As `owner`, with the place of the page in its owner: "khorig/stores/db0 page 4"."""
        at = self._at(frame)
        if at < 0:
            return ""
        number, offset = int(self.ids[at]), int(self.offsets[at])
        if number == _NOBODY:
            return NOBODY
        label = self._labels.get(number)
        if self._rests[at]:
            whole = label(offset) if label else self.names[number]
            return f"{whole}, rest of its block"
        offset += frame - self._begins[at]
        if label:
            return label(offset)
        many = int(self._pages[number + 1]) > 1
        return f"{self.names[number]} page {offset}" if many else self.names[number]

    def locate(self, frame: int) -> OwnedPage | None:
        """Which page of which owner; None for one that nobody claims or that is not preserved."""
        at = self._at(frame)
        if at < 0 or self.ids[at] == _NOBODY:
            return None
        number, offset = int(self.ids[at]), int(self.offsets[at])
        name = self.names[number]
        claim = self.names[:number].count(name)
        if not self._rests[at]:
            return OwnedPage(name, offset + frame - self._begins[at], claim)
        head = self._frame_of(number, offset)
        return None if head is None else OwnedPage(name, offset, claim, frame - head)

    def find(self, page: OwnedPage) -> int | None:
        """The frame of a page that `locate` has named, perhaps in another handover; None if there
        is no such owner or it has no such page."""
        numbers = [number for number, name in enumerate(self.names) if name == page.owner]
        if not 0 <= page.claim < len(numbers):
            return None
        number = numbers[page.claim]
        head = self._frame_of(number, page.page)
        if head is None or not page.beyond:
            return head
        at = self._at(head + page.beyond)
        return head + page.beyond if at >= 0 and self.ids[at] == number else None

    def _frame_of(self, number: int, offset: int) -> int | None:
        own = (self.ids == number) & (self._rests == 0)
        behind = offset - self.offsets  # the first page of each run
        runs = np.flatnonzero(own & (behind >= 0) & (behind < self.ends - self.begins))
        return int(self.begins[runs[0]] + behind[runs[0]]) if len(runs) else None

    def ids_of(self, frames: Int64Array) -> Int64Array:
        """For each of some frames the place of its owner in `names`, -1 for nobody and for pages
        that are not preserved."""
        result = np.full(len(frames), _NOBODY, dtype=np.int64)
        if len(self.begins):
            at = np.searchsorted(self.begins, frames, side="right") - 1
            inside = (at >= 0) & (frames < self.ends[at])
            result[inside] = self.ids[at[inside]]
        return result

    def are_preserved(self, frames: Int64Array) -> BoolArray:
        """Which of some frames are preserved pages."""
        result = np.zeros(len(frames), dtype=np.bool_)
        if len(self.begins):
            at = np.searchsorted(self.begins, frames, side="right") - 1
            result = (at >= 0) & (frames < self.ends[at])
        return result

    def pages_by_owner(self) -> list[tuple[str, int, int]]:
        """(name, pages, first frame) of each claim and of nobody, in the order of the claims; those
        without a page are left out."""
        found = []
        numbers, places = np.unique(self.ids, return_index=True)
        for number, place in zip(numbers.tolist(), places.tolist()):
            name = NOBODY if number == _NOBODY else self.names[number]
            found.append((name, int(self._pages[number + 1]), int(self.begins[place])))
        return found

    def runs_where(self, is_wanted: Callable[[str], bool]) -> tuple[Int64Array, Int64Array]:
        """First frames and ends of the runs of the owners whose name is wanted, ascending."""
        wanted = np.array([False, *map(is_wanted, self.names)], dtype=np.bool_)[self.ids + 1]
        return self.begins[wanted], self.ends[wanted]

    def pages_where(self, is_wanted: Callable[[str], bool]) -> Int64Array:
        """The frames of the pages of some owners, ascending."""
        return expand(*self.runs_where(is_wanted))

    def pages_of(self, *owners: str) -> Int64Array:
        """The frames of the pages of the owners with these names, ascending."""
        return self.pages_where(lambda name: name in owners)

    @property
    def unowned(self) -> tuple[Int64Array, Int64Array]:
        """First frames and ends of the runs that no owner claims."""
        nobodys: BoolArray = self.ids == _NOBODY
        return self.begins[nobodys], self.ends[nobodys]


def expand(begins: Int64Array, ends: Int64Array) -> Int64Array:
    """All frames of some runs, run after run."""
    counts = ends - begins
    starts = np.cumsum(counts) - counts
    offsets: Int64Array = np.arange(int(counts.sum()), dtype=np.int64)
    frames: Int64Array = offsets + np.repeat(begins - starts, counts)
    return frames
