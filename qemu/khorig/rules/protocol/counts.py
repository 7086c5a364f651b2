# SPDX-License-Identifier: BSD-3-Clause
"""Compares the guest's reported counts with its memory."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import RESTORED_COUNTS, SEALED_COUNTS
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record


def check_sealed_counts(stop: Stop, sealed: Record) -> list[Finding]:
    """Counts reported at `sealed`. Raises EventFieldError."""
    handover = sealed.snapshot.handover
    counted = {
        "blocks": len(handover.tree.blocks),
        "pages": handover.blocks.page_count,
        "nodes": len(handover.tree.nodes),
    }
    return [
        stop.finding(SEALED_COUNTS, f"guest reports {reported} {name}, memory has {count}")
        for name, count in counted.items()
        if (reported := stop.event.number(name)) != count
    ]


def check_restored_counts(stop: Stop, before: Record) -> list[Finding]:
    """Restored counts equal sealed counts. Raises EventFieldError."""
    event = stop.facts.restored
    if event is None:
        return stop.no_event(RESTORED_COUNTS, "restored")
    snapshot = before.snapshot
    handover = snapshot.handover
    counted = {
        "blocks": len(handover.blocks),
        "pages": handover.blocks.page_count,
        "bytes": handover.blocks.page_count << stop.geometry.page_shift,
        "stores": len(snapshot.clients.stores),
        "fragments": len(handover.fragments),
        "depth": handover.depth,
    }
    return [
        stop.finding(RESTORED_COUNTS, f"guest restored {restored} {name}, sealed {count}")
        for name, count in counted.items()
        if (restored := event.number(name)) != count
    ]
