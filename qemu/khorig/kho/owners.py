# SPDX-License-Identifier: BSD-3-Clause
"""Who each preserved page belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Blocks, BoolArray, Int64Array
from khorig.kho.clients.khorig import LEDGER_STORE, STORES_PATH, Clients
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.kho.fragment import Fragment
from khorig.kho.handover import Handover
from khorig.kho.layout import GEOMETRY_4K, Geometry
from khorig.mem.memory import PhysRange

FRAGMENT_OWNER = "fragment"  # of all of them; the path follows
_NOBODY = -1


@dataclass(frozen=True)
class Clash:
    """A page with two owners."""

    frame: int
    first: str
    second: str


@dataclass(frozen=True)
class Stray:
    """A page that an owner claims although nobody preserved it."""

    frame: int
    owner: str


class Owners:
    """The owner of every preserved page, as the handover's own structures tell it."""

    def __init__(self, blocks: Blocks) -> None:
        """`blocks` are disjoint and inside RAM."""
        self.frames: Int64Array = np.sort(blocks.page_frames())
        self.names: list[str] = []
        self.clashes: list[Clash] = []
        self.strays: list[Stray] = []
        self._labels: dict[str, Callable[[int], str]] = {}
        self._ids: npt.NDArray[np.int32] = np.full(len(self.frames), _NOBODY, dtype=np.int32)
        self._offsets: Int64Array = np.zeros(len(self.frames), dtype=np.int64)

    def claim(
        self, frames: Int64Array, owner: str, label: Callable[[int], str] | None = None
    ) -> None:
        """Says that the pages `frames`, in this sequence, belong to `owner`. The first of two
        owners keeps a page; pages nobody preserved are noted. `label` names a page by its place in
        the sequence, where "owner page n" would not do."""
        if not len(frames):
            return
        if label:
            self._labels[owner] = label
        at = np.searchsorted(self.frames, frames)
        known = np.zeros(len(frames), dtype=np.bool_)
        inside = at < len(self.frames)
        known[inside] = self.frames[at[inside]] == frames[inside]
        if not known.all():
            self.strays.append(Stray(int(frames[~known][0]), owner))
        at = at[known]
        taken = self._ids[at] != _NOBODY
        if taken.any():
            first = int(at[taken][0])
            frame = int(self.frames[first])
            self.clashes.append(Clash(frame, self.name(frame), owner))
        self.names.append(owner)
        free = at[~taken]
        self._ids[free] = len(self.names) - 1
        self._offsets[free] = np.flatnonzero(known)[~taken]

    def name(self, frame: int) -> str:
        """Whom a page belongs to, with its place: "khorig/stores/db0 page 4". "" for a page that
        is not preserved, "nobody" for one that no owner claims."""
        at = int(np.searchsorted(self.frames, frame))
        if at == len(self.frames) or self.frames[at] != frame:
            return ""
        if self._ids[at] == _NOBODY:
            return "nobody"
        name = self.names[int(self._ids[at])]
        if name in self._labels:
            return self._labels[name](int(self._offsets[at]))
        many = int(np.count_nonzero(self._ids == self._ids[at])) > 1
        return f"{name} page {self._offsets[at]}" if many else name

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        """For each of `frames` the place of its owner in `names`, -1 for nobody."""
        return self._ids

    def pages_of(self, *owners: str) -> Int64Array:
        """The page frames of some owners, ascending."""
        ids = [i for i, name in enumerate(self.names) if name in owners]
        mine: BoolArray = np.isin(self._ids, ids)
        return self.frames[mine]

    @property
    def unowned(self) -> Int64Array:
        """The preserved pages that no owner claims."""
        nobodys: BoolArray = self._ids == _NOBODY
        return self.frames[nobodys]


def find_owners(
    handover: Handover,
    clients: Clients,
    scenario: Sequence[OwnedBlocks] = (),
    geometry: Geometry = GEOMETRY_4K,
) -> Owners:
    """Assigns every preserved page. The names are paths in the handover: "root", "fragment
    /khorig/stores", "khorig/archive", "khorig/stores/db0", "memblock/mem0"; and "block 17" for
    those of a `scenario`."""
    owners = Owners(handover.blocks)

    def claim_area(area: PhysRange, owner: str) -> None:
        frames = _pages(area, geometry)
        gap = handover.index.first_gap(frames.start, len(frames))
        if gap is not None:
            # Of an area that is not preserved as a whole nothing is claimed: it may be of any size.
            owners.strays.append(Stray(gap, owner))
        else:
            owners.claim(np.arange(frames.start, frames.stop, dtype=np.int64), owner)

    claim_area(PhysRange(handover.root.address, geometry.page_size), "root")
    _claim_fragments(owners, handover.fragments[1:], geometry)
    for link in handover.blobs:
        claim_area(link.blob, link.path.lstrip("/"))
    for reserved in clients.reserved:
        claim_area(reserved.area, f"memblock/{reserved.name}")
    for store in clients.stores.values():
        name = _store_name(store.name)
        chunks = [chunk >> geometry.page_shift for chunk in store.vmalloc.chunks]
        owners.claim(np.array(chunks, dtype=np.int64), f"{name} chunk")
        owners.claim(store.vmalloc.blocks.page_frames(), name)
    for owned in scenario:
        owners.claim(owned.blocks.page_frames(), owned.owner, _block_label(owned))
    return owners


def _claim_fragments(
    owners: Owners, fragments: Sequence[Fragment], geometry: Geometry
) -> None:
    """All at once: there may be thousands, each in a page of its own."""
    places: dict[int, str] = {}
    for fragment in fragments:
        for frame in _pages(PhysRange(fragment.address, fragment.size), geometry):
            places.setdefault(frame, f"{FRAGMENT_OWNER} {fragment.path}")
    names = list(places.values())
    owners.claim(np.array(list(places), dtype=np.int64), FRAGMENT_OWNER, names.__getitem__)


def _block_label(owned: OwnedBlocks) -> Callable[[int], str]:
    blocks = owned.blocks
    ends = np.cumsum(blocks.counts)

    def label(offset: int) -> str:
        number = int(np.searchsorted(ends, offset, side="right"))
        order = int(blocks.orders[number])
        page = offset - (int(ends[number]) - (1 << order))
        return f"{owned.owner} {number} (order {order}) page {page}"

    return label


def _pages(area: PhysRange, geometry: Geometry) -> range:
    """The page frames that an area touches."""
    return range(area.begin >> geometry.page_shift, -(-area.end >> geometry.page_shift))


def _store_name(store: str) -> str:
    return f"{STORES_PATH.lstrip('/')}/{store}"


LEDGER_OWNERS = (_store_name(LEDGER_STORE), f"{_store_name(LEDGER_STORE)} chunk")
