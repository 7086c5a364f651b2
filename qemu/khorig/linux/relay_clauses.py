# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel in between must hand on untouched."""

from __future__ import annotations

import numpy as np

from khorig.kho.blocks import Blocks, Int64Array
from khorig.kho.clients.khorig import METADATA_PATH
from khorig.kho.fragment import read_link
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.page_hashes import PageHashes
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop

_OWN = (METADATA_PATH.lstrip("/"), "memblock")  # what khorig reads and writes anew


def check_relayed(stop: Stop, arrived: SealedState, sealed: SealedState) -> list[Finding]:
    """Every subtree and every block that arrived and is not khorig's own leaves as it came."""
    return [*_subtrees(stop, arrived, sealed), *_blocks(stop, arrived, sealed)]


def kept_hashes(arrived: SealedState, sealed: SealedState) -> PageHashes:
    """The hashes of the pages that arrived and are handed on. By chance khorig may write its own
    pages where those of the kernel before it were; they do not count."""
    own = [blob.begin for name, blob in _links(arrived).items() if name in _OWN]
    anew = [address >> 12 for address in (arrived.handover.root.address, *own)]
    frames = arrived.hashes.frames
    kept = np.isin(frames, sealed.hashes.frames) & ~np.isin(frames, anew)
    return arrived.hashes.select(kept)


def _subtrees(stop: Stop, arrived: SealedState, sealed: SealedState) -> list[Finding]:
    leaving = _links(sealed)
    findings = []
    for name, blob in _links(arrived).items():
        if name in _OWN:
            continue
        found = leaving.get(name)
        if found != blob:
            what = f"subtree '{name}' came as {blob} and leaves as {found or 'nothing'}"
            findings.append(stop.finding("relayed subtrees", what, blob.begin, name))
    return findings


def _links(state: SealedState) -> dict[str, PhysRange]:
    root = state.handover.root
    links = {}
    for path, node in root.tree.walk(root.path):
        if path.count("/") != 1:
            continue
        try:
            links[path.lstrip("/")] = read_link(node, path, root.address).blob
        except DecodeError:
            continue  # reported as a problem of the handover
    return links


def _blocks(stop: Stop, arrived: SealedState, sealed: SealedState) -> list[Finding]:
    """Compares blocks with their orders: a kernel restores a block by the order it was given."""
    before, after = _keys(arrived.handover.blocks), _keys(sealed.handover.blocks)
    lost = before[~np.isin(before, after)]
    for key in lost:
        frame, order = int(key) >> 6, int(key) & 63
        owner = arrived.owners.name(frame)
        if owner == "root" or any(own in owner for own in _OWN):
            continue
        what = f"block {frame << 12:#018x} of order {order} arrived and is not handed on"
        return [stop.finding("relayed blocks", what, frame << 12, owner)]
    return []


def _keys(blocks: Blocks) -> Int64Array:
    keys: Int64Array = blocks.frames.astype(np.int64) << 6 | blocks.orders.astype(np.int64)
    return keys
