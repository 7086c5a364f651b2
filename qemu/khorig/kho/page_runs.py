# SPDX-License-Identifier: BSD-3-Clause
"""Whose each page of memory is, in runs, small enough for a journal or a page of a report."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from khorig.kho.blocks import BoolArray, Int64Array
from khorig.kho.frame_table import FrameState, FrameTable
from khorig.kho.handover import Handover
from khorig.kho.layout import Geometry
from khorig.kho.owners import Owners
from khorig.mem.memory import PhysRange

_CELLS = 16384  # runs that are closer than RAM divided by this become one
_MOST_OWNERS = 40  # by size; the others are one
_MOST_FRAGMENTS = 400

OTHERS = "others"
NOBODY = "nobody"
NODE = "radix node"
SCRATCH = "scratch"
USED = "used"
FREE = "free"
NO_RAM = "no RAM"


class PageRuns:
    """Whose each page is, in arrays: 200,000 pages take milliseconds."""

    def __init__(
        self,
        ram: Sequence[PhysRange],
        geometry: Geometry,
        handover: Handover | None,
        owners: Owners | None,
        frames: FrameTable | None,
    ) -> None:
        """`frames` is the table of khorig's page allocator, where there is one."""
        self.shift = geometry.page_shift
        self.page_size = geometry.page_size
        self.ram = [(r.begin >> self.shift, r.size >> self.shift) for r in ram]
        total = sum(count for _, count in self.ram)
        self.grain = max(1, total // _CELLS)
        empty: Int64Array = np.empty(0, dtype=np.int64)
        self.nodes = self.first = self.count = self.group = self.used = empty
        self.names: list[str] = []
        if handover is not None:
            addresses = [node.address >> self.shift for node in handover.tree.nodes]
            self.nodes = np.array(sorted(addresses), dtype=np.int64)
        if owners is not None:
            self._group(owners)
        if frames is not None:
            self.used = self._used(frames)

    def _group(self, owners: Owners) -> None:
        """Finds the runs of pages of one owner: `first`, `count` and `group`, a place in `names`.
        The chunks of a store belong to the store; of many owners the smallest are one."""
        if not len(owners.begins):
            return
        self.first = owners.begins
        self.count = owners.ends - owners.begins
        plain = [name.removesuffix(" chunk") for name in owners.names]
        names = list(dict.fromkeys([*plain, NOBODY]))
        place = {name: i for i, name in enumerate(names)}
        # The last element is what index -1 finds: pages that nobody claims.
        table = np.array([*(place[name] for name in plain), place[NOBODY]], dtype=np.int64)
        group = table[owners.ids]
        sizes = np.bincount(group, self.count, minlength=len(names))
        largest = np.argsort(-sizes, kind="stable")[:_MOST_OWNERS]
        shrink = np.full(len(names), len(largest), dtype=np.int64)
        shrink[largest] = np.arange(len(largest))
        self.group = shrink[group]
        self.names = [*(names[i] for i in largest), OTHERS]

    def _used(self, table: FrameTable) -> Int64Array:
        """What the kernel itself has allocated."""
        used = table.frames_in(FrameState.ALLOCATED)
        mine: BoolArray = np.ones(len(used), dtype=np.bool_)
        ends = np.searchsorted(used, np.stack([self.first, self.first + self.count]))
        for begin, end in ends.T.tolist():
            mine[begin:end] = False
        left: Int64Array = np.setdiff1d(used[mine], self.nodes, assume_unique=True)
        return left

    def runs(self, first: Int64Array, count: Int64Array | None = None) -> list[int]:
        """[first, count, first, count, ...] of ascending runs, or of single pages."""
        if not len(first):
            return []
        ends = first + (1 if count is None else count)
        cuts = np.flatnonzero(first[1:] - ends[:-1] >= self.grain)
        begins = first[np.concatenate([[0], cuts + 1])]
        lasts = ends[np.concatenate([cuts, [len(ends) - 1]])]
        runs: list[int] = np.stack([begins, lasts - begins], axis=1).ravel().tolist()
        return runs

    def owners(self) -> list[dict[str, Any]]:
        """Each owner that has pages, the largest first."""
        found = []
        for number, name in enumerate(self.names):
            mine = self.group == number
            first, count = self.first[mine], self.count[mine]
            if len(first):
                pages = int(count.sum())
                found.append({"name": name, "pages": pages, "runs": self.runs(first, count)})
        return found

    def what(self, frame: int, scratch: Sequence[PhysRange]) -> str:
        """One page in words: an owner's name or one of this module's constants."""
        if not any(first <= frame < first + count for first, count in self.ram):
            return NO_RAM
        for frames, name in ((self.nodes, NODE), (self.used, USED)):
            at = int(np.searchsorted(frames, frame))
            if at < len(frames) and frames[at] == frame:
                return name
        at = int(np.searchsorted(self.first, frame, side="right")) - 1
        if at >= 0 and frame < self.first[at] + self.count[at]:
            return self.names[int(self.group[at])]
        inside = any(area.contains(frame << self.shift, 1) for area in scratch)
        return SCRATCH if inside else FREE


def memory_picture(
    pages: PageRuns, scratch: Sequence[PhysRange], segments: Sequence[tuple[str, PhysRange]]
) -> dict[str, Any]:
    """What memory is used for, as khorig.out.report draws it. Page numbers, but for `scratch` and
    `segments`, which are in bytes. Runs of an owner that are closer than `grain` pages are one."""
    return {
        "page_size": pages.page_size,
        "grain": pages.grain,
        "ram": pages.ram,
        "scratch": [[area.begin, area.size] for area in scratch],
        "segments": [[name, area.begin, area.size] for name, area in segments],
        "owners": pages.owners(),
        "nodes": {"pages": len(pages.nodes), "runs": pages.runs(pages.nodes)},
        "used": {"pages": len(pages.used), "runs": pages.runs(pages.used)},
    }


def structure_picture(handover: Handover) -> dict[str, Any]:
    """The fragments and blobs, in bytes; of very many only the first."""
    return {
        "root": handover.root.address,
        "fragment_count": len(handover.fragments),
        "fragments": [
            [f.path, f.address, f.size, f.depth, f.compatible]
            for f in handover.fragments[:_MOST_FRAGMENTS]
        ],
        "blobs": [
            [link.path, link.blob.begin, link.blob.size]
            for link in handover.blobs[:_MOST_FRAGMENTS]
        ],
    }
