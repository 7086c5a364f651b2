# SPDX-License-Identifier: BSD-3-Clause
"""Use of each page, by the handover of one dump."""

from __future__ import annotations

import enum
from typing import Sequence

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import BoolArray, Int64Array
from khorig.kho.frame_table import FrameState
from khorig.kho.owners import NOBODY, expand
from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import PhysRange

_STATE_SHIFT = 5
_STATES = 3


class PageClass(enum.Enum):
    """Class of a page; the value is its printed name."""

    PRESERVED = "preserved"
    TRACKER = "tracker"  # node of the tree of preserved blocks
    SCRATCH = "scratch"
    KERNEL = "kernel"  # allocated, not preserved
    FREE = "free"
    UNKNOWN = "unknown"


_NUMBERS = list(PageClass)


class PageClasses:
    """Classes of pages by the handover of one dump; without one all are unknown."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self._nodes: Int64Array = np.empty(0, dtype=np.int64)
        if snapshot is not None:
            self._nodes = snapshot.node_frames

    def of(self, frames: Int64Array) -> npt.NDArray[np.uint8]:
        """Index into PageClass of each page, parallel to `frames`."""
        unknown = _NUMBERS.index(PageClass.UNKNOWN)
        result: npt.NDArray[np.uint8] = np.full(len(frames), unknown, dtype=np.uint8)
        snapshot = self._snapshot
        if snapshot is None:
            return result
        if snapshot.frames is not None:
            table = snapshot.frames
            covered = table.covers(frames)
            states = table.states(frames[covered]) >> _STATE_SHIFT & _STATES
            kinds = np.full(_STATES + 1, unknown, dtype=np.uint8)
            kinds[FrameState.FREE] = _NUMBERS.index(PageClass.FREE)
            kinds[FrameState.ALLOCATED] = _NUMBERS.index(PageClass.KERNEL)
            result[covered] = kinds[states]
        shift = snapshot.geometry.page_shift
        for area in snapshot.scratch or ():
            inside = (frames >= area.begin >> shift) & (frames < area.end >> shift)
            result[inside] = _NUMBERS.index(PageClass.SCRATCH)
        result[_is_in(frames, self._nodes)] = _NUMBERS.index(PageClass.TRACKER)
        result[snapshot.owners.are_preserved(frames)] = _NUMBERS.index(PageClass.PRESERVED)
        return result

    def split(self, frames: Int64Array) -> dict[PageClass, Int64Array]:
        """The pages of each class; empty classes included."""
        classes = self.of(frames)
        return {kind: frames[classes == number] for number, kind in enumerate(_NUMBERS)}

    def total(self, kind: PageClass) -> int | None:
        """Number of pages of a class in the dump, None if unknown."""
        snapshot = self._snapshot
        if snapshot is None:
            return None
        if kind is PageClass.PRESERVED:
            return snapshot.owners.page_count
        if kind is PageClass.TRACKER:
            return len(self._nodes)
        if kind is PageClass.SCRATCH and snapshot.scratch is not None:
            return sum(area.size for area in snapshot.scratch) >> snapshot.geometry.page_shift
        if kind in (PageClass.KERNEL, PageClass.FREE) and snapshot.frames is not None:
            every = snapshot.frames.every()
            return int(np.count_nonzero(self.of(every) == _NUMBERS.index(kind)))
        return None

    def preserved_in(self, areas: Sequence[PhysRange]) -> Int64Array:
        """Preserved pages that overlap `areas`, ascending."""
        found: list[Int64Array] = [np.empty(0, dtype=np.int64)]
        if self._snapshot is not None:
            owners, shift = self._snapshot.owners, self._snapshot.geometry.page_shift
            for area in areas:
                first, last = area.begin >> shift, -(-area.end >> shift)
                begins = np.maximum(owners.begins, first)
                ends = np.minimum(owners.ends, last)
                inside = begins < ends
                found.append(expand(begins[inside], ends[inside]))
        return np.unique(np.concatenate(found))

    def owner(self, frame: int) -> str:
        """Owner of a preserved page, or the tracker node; "" for others."""
        snapshot = self._snapshot
        return "" if snapshot is None else snapshot.describe(frame)

    def groups(self, frames: Int64Array) -> dict[str, int]:
        """Number of the given preserved pages per owner, most first."""
        if self._snapshot is None or not len(frames):
            return {}
        owners = self._snapshot.owners
        numbers, counts = np.unique(owners.ids_of(frames), return_counts=True)
        found: dict[str, int] = {}
        for number, count in zip(numbers.tolist(), counts.tolist()):
            name = owners.names[number] if number >= 0 else NOBODY
            found[name] = found.get(name, 0) + count
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _is_in(frames: Int64Array, ascending: Int64Array) -> BoolArray:
    if not len(ascending):
        return np.zeros(len(frames), dtype=np.bool_)
    at = np.minimum(np.searchsorted(ascending, frames), len(ascending) - 1)
    found: BoolArray = ascending[at] == frames
    return found


def area_of(frames: Int64Array, page_shift: int) -> list[PhysRange]:
    """Ascending frames as ranges."""
    if not len(frames):
        return []
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    firsts = frames[np.concatenate([[0], cuts])]
    lasts = frames[np.concatenate([cuts - 1, [len(frames) - 1]])]
    return [
        PhysRange(first << page_shift, last - first + 1 << page_shift)
        for first, last in zip(firsts.tolist(), lasts.tolist())
    ]
