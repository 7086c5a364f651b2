# SPDX-License-Identifier: BSD-3-Clause
"""Foreign state that an intermediate kernel must pass on unchanged."""

from __future__ import annotations

from typing import Callable, Mapping

import numpy as np

from khorig.kho.blocks import Blocks, Int64Array
from khorig.kho.clients.khorig import METADATA_PATH
from khorig.kho.fragment import read_link
from khorig.kho.ownership import ROOT_OWNER
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop
from khorig.rules.temporal.definitions import BLOCKS_RELAYED, SUBTREES_RELAYED
from khorig.rules.temporal.page_hashes import PageHashes
from khorig.rules.temporal.record import Record

_OWN = (METADATA_PATH.lstrip("/"), "memblock")  # rewritten by khorig
_ORDER_BITS = 6


def relayed_pages(arrived: Record, sealed: Record) -> PageHashes:
    """Hashes of the incoming pages that are handed on, without pages that khorig reuses for its own
    state."""
    shift = arrived.snapshot.geometry.page_shift
    own = [blob.begin for name, blob in _links(arrived.snapshot).items() if name in _OWN]
    anew = [address >> shift for address in (arrived.snapshot.root, *own)]
    frames = arrived.hashes.frames
    kept = sealed.snapshot.owners.are_preserved(frames) & ~np.isin(frames, anew)
    return arrived.hashes.select(kept)


def check_subtrees(stop: Stop, arrived: Record, sealed: Record) -> list[Finding]:
    """Every foreign subtree is handed on unchanged."""
    leaving = _links(sealed.snapshot)
    findings = []
    for name, blob in _links(arrived.snapshot).items():
        found = leaving.get(name)
        if name not in _OWN and found != blob:
            what = f"subtree '{name}' arrived as {blob}, handed on as {found or 'nothing'}"
            findings.append(stop.finding(SUBTREES_RELAYED, what, blob.begin, name))
    return findings


def _links(snapshot: Snapshot) -> dict[str, PhysRange]:
    root = snapshot.handover.root
    links = {}
    for path, node in root.tree.walk(root.path):
        if path.count("/") != 1:
            continue
        try:
            links[path.lstrip("/")] = read_link(node, path, root.address).blob
        except DecodeError:
            continue  # reported by a static rule
    return links


def check_blocks(stop: Stop, arrived: Record, sealed: Record) -> list[Finding]:
    """Every foreign block is handed on with its order."""
    before = _keys(arrived.snapshot.handover.blocks)
    after = _keys(sealed.snapshot.handover.blocks)
    shift = stop.geometry.page_shift
    for key in before[~np.isin(before, after)].tolist():
        frame, order = key >> _ORDER_BITS, key & ((1 << _ORDER_BITS) - 1)
        owner = arrived.snapshot.owners.name(frame)
        if owner == ROOT_OWNER or any(own in owner for own in _OWN):
            continue
        what = f"block {frame << shift:#018x} of order {order} is not handed on"
        return [stop.finding(BLOCKS_RELAYED, what, frame << shift, owner)]
    return []


def _keys(blocks: Blocks) -> Int64Array:
    keys: Int64Array = blocks.frames << _ORDER_BITS | blocks.orders
    return keys


# By rule.
RELAYED: Mapping[str, Callable[[Stop, Record, Record], list[Finding]]] = {
    SUBTREES_RELAYED: check_subtrees,
    BLOCKS_RELAYED: check_blocks,
}
