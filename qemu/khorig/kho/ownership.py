# SPDX-License-Identifier: BSD-3-Clause
"""Which pages each structure of a handover names."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from khorig.kho.clients.khorig import LEDGER_STORE, STORES_PATH, Clients
from khorig.kho.clients.live_cpu import LIVE_CPU_OWNER
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.kho.fragment import Fragment
from khorig.kho.handover import Handover
from khorig.kho.layout import Geometry
from khorig.kho.owners import Claims, Label, Owners
from khorig.mem.memory import PhysRange

FRAGMENT_OWNER = "fragment"  # of all of them; the path follows
ROOT_OWNER = "root"
RESERVED_OWNER = "memblock/"  # followed by the name of the area


def find_owners(
    handover: Handover,
    clients: Clients,
    blocks: Sequence[OwnedBlocks] = (),
    areas: Sequence[tuple[str, PhysRange]] = (),
) -> Owners:
    """Assigns every preserved page. The names are paths in the handover: "root", "fragment
    /khorig/stores", "khorig/archive", "khorig/stores/db0", "memblock/mem0"; and those of `blocks`,
    which are what structures outside the handover's own tree name: "block 17", "kho_test folio 3".
    """
    claims, geometry = Claims(), handover.geometry

    def claim_area(area: PhysRange, owner: str) -> None:
        first, end = _pages(area, geometry)
        claims.claim(np.array([first]), np.array([end - first]), owner)

    claim_area(PhysRange(handover.root.address, geometry.page_size), ROOT_OWNER)
    _claim_fragments(claims, handover.fragments[1:], geometry)
    for link in handover.blobs:
        claim_area(link.blob, link.path.lstrip("/"))
    for reserved in clients.reserved:
        claim_area(reserved.area, f"{RESERVED_OWNER}{reserved.name}")
    if clients.live is not None:
        claim_area(clients.live.page, clients.live.owner)
    if clients.iommu is not None:
        for table in clients.iommu.tables:
            claim_area(table, clients.iommu.owner)
    for store in clients.stores.values():
        name = store_owner(store.name)
        chunks = [chunk >> geometry.page_shift for chunk in store.vmalloc.chunks]
        claims.claim_pages(np.array(chunks, dtype=np.int64), f"{name} chunk")
        claims.claim_blocks(store.vmalloc.blocks, name)
    for owner, page in clients.live_cpu.owned if clients.live_cpu else ():
        claim_area(PhysRange(page, geometry.page_size), owner)
    for owner, area in areas:
        claim_area(area, owner)
    for owned in blocks:
        claims.claim_blocks(owned.blocks, owned.owner, _block_label(owned))
    return claims.settle(handover.blocks)


def _claim_fragments(claims: Claims, fragments: Sequence[Fragment], geometry: Geometry) -> None:
    """All at once: there may be thousands, each in a page of its own."""
    places: dict[int, str] = {}
    for fragment in fragments:
        for frame in fragment_frames(fragment, geometry):
            places.setdefault(frame, f"{FRAGMENT_OWNER} {fragment.path}")
    names = list(places.values())
    frames = np.array(list(places), dtype=np.int64)
    claims.claim_pages(frames, FRAGMENT_OWNER, names.__getitem__)


def fragment_frames(fragment: Fragment, geometry: Geometry) -> range:
    """The page frames that a fragment touches."""
    return range(*_pages(PhysRange(fragment.address, fragment.size), geometry))


def _block_label(owned: OwnedBlocks) -> Label:
    blocks = owned.blocks
    ends = np.cumsum(blocks.counts)

    def label(offset: int) -> str:
        number = min(int(np.searchsorted(ends, offset, side="right")), len(ends) - 1)
        order = int(blocks.orders[number])
        page = offset - (int(ends[number]) - (1 << order))
        return f"{owned.owner} {number} (order {order}) page {page}"

    return label


def _pages(area: PhysRange, geometry: Geometry) -> tuple[int, int]:
    """The first page frame that an area touches, and the one behind the last."""
    return area.begin >> geometry.page_shift, -(-area.end >> geometry.page_shift)


def store_owner(store: str) -> str:
    """What the pages of a store belong to."""
    return f"{STORES_PATH.lstrip('/')}/{store}"


# Written by a CPU that runs on, at any time.
LIVE_OWNERS = (f"{LIVE_CPU_OWNER}/stack", f"{LIVE_CPU_OWNER}/counter")
LEDGER_OWNERS = (store_owner(LEDGER_STORE), f"{store_owner(LEDGER_STORE)} chunk")
