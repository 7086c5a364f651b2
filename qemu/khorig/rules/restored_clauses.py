# SPDX-License-Identifier: BSD-3-Clause
"""What must hold when a generation has taken its handover back into use."""

from __future__ import annotations

from typing import Callable, Mapping

from khorig.rules.allocator import compare_with_allocator
from khorig.rules.finding import Finding
from khorig.rules.page_changes import compare_pages
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop


def check_pages(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Every page that was preserved is still as it was sealed."""
    return compare_pages(stop, sealed, sealed.hashes, "restored hashes")


def check_frames(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Every block is in use again, with the order it was preserved with."""
    return compare_with_allocator(stop, sealed, "restored frames")


def check_counts(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The guest took back as much as memory held."""
    clause = "restored counts"
    event = stop.facts.restored
    if event is None:
        return [stop.finding(clause, "there was no 'restored' event before this stop")]
    handover = sealed.handover
    counted = {
        "blocks": len(handover.blocks),
        "pages": handover.blocks.page_count,
        "bytes": handover.blocks.page_count << stop.geometry.page_shift,
        "stores": len(sealed.clients.stores),
        "fragments": len(handover.fragments),
        "depth": handover.depth,
    }
    return [
        stop.finding(clause, f"the guest took back {said} {name}, sealed were {counted[name]}")
        for name in counted
        if (said := event.number(name)) != counted[name]
    ]


def check_scratch(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The kernel uses the scratch areas it inherited, unchanged."""
    clause = "inherited scratch"
    if stop.facts.memory is None:
        return [stop.finding(clause, "there was no 'memory' event before this stop")]
    areas = stop.facts.memory.scratch
    if areas == sealed.scratch:
        return []
    found = " ".join(str(a) for a in areas)
    expected = " ".join(str(a) for a in sealed.scratch)
    what = f"scratch is {found}, handed over were {expected}"
    return [stop.finding(clause, what, areas[0].begin if areas else None, "scratch")]


RESTORED_CLAUSES: Mapping[str, Callable[[Stop, SealedState], list[Finding]]] = {
    "restored hashes": check_pages,
    "restored frames": check_frames,
    "restored counts": check_counts,
    "inherited scratch": check_scratch,
}
