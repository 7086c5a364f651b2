# SPDX-License-Identifier: BSD-3-Clause
"""The guest's own numbers against those of its memory."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import RESTORED_COUNTS, SEALED_COUNTS
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record


def check_sealed_counts(stop: Stop, sealed: Record) -> list[Finding]:
    """What the guest counts at `sealed`. Raises EventFieldError."""
    handover = sealed.snapshot.handover
    counted = {
        "blocks": len(handover.tree.blocks),
        "pages": handover.blocks.page_count,
        "nodes": len(handover.tree.nodes),
    }
    return [
        stop.finding(SEALED_COUNTS, f"the guest reports {reported} {name}, memory has {count}")
        for name, count in counted.items()
        if (reported := stop.event.number(name)) != count
    ]


def check_restored_counts(stop: Stop, before: Record) -> list[Finding]:
    """The guest restored as much as was sealed. Raises EventFieldError."""
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
        stop.finding(RESTORED_COUNTS, f"the guest restored {restored} {name}, sealed were {count}")
        for name, count in counted.items()
        if (restored := event.number(name)) != count
    ]
