# SPDX-License-Identifier: BSD-3-Clause
"""Compares pages with what they were at `sealed`."""

from __future__ import annotations

from khorig.mem.memory import read_bytes
from khorig.rules.byte_differences import describe_change
from khorig.rules.finding import Finding
from khorig.rules.page_hashes import PageHashes, are_unchanged, hash_pages
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop

_OTHERS = 6  # further pages named


def compare_pages(
    stop: Stop, sealed: SealedState, before: PageHashes, clause: str
) -> list[Finding]:
    """One finding when pages are not as `before`: the lowest page, its owner, both hashes, its
    bytes, and which others there are."""
    if are_unchanged(stop.memory, before, stop.geometry):
        return []
    now = hash_pages(stop.memory, before.frames, stop.geometry)
    changed = before.differing(now)
    if not len(changed):  # other bytes a moment ago: something still writes to them
        return [stop.finding(clause, "preserved memory changes while the guest waits")]
    shift = stop.geometry.page_shift
    frame = int(changed[0])
    address = frame << shift
    content = read_bytes(stop.memory, address, stop.geometry.page_size)
    lines = list(describe_change(address, sealed.copies.get(frame), content))
    if len(changed) > 1:
        lines.append(f"{len(changed) - 1} other pages differ as well:")
        lines += [
            f"  {int(other) << shift:#018x} {owner_of(sealed, int(other), stop)}"
            for other in changed[1 : 1 + _OTHERS]
        ]
    owner = owner_of(sealed, frame, stop)
    what = (
        f"page {address:#018x} changed: hash {before.of(frame):#018x} when sealed by generation "
        f"{sealed.generation}, {now.of(frame):#018x} at {stop.at} of generation {stop.generation}"
    )
    return [stop.finding(clause, what, address, owner, tuple(lines))]


def owner_of(sealed: SealedState, frame: int, stop: Stop) -> str:
    """Whom a page of the handover belongs to, nodes of the tree included; "" for any other."""
    return sealed.owners.name(frame) or sealed.node_name(frame, stop.geometry)
