# SPDX-License-Identifier: BSD-3-Clause
"""What a generation says of its memory, and words that say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.facts import GuestFacts, MemoryFacts, Segment
from khorig.mem.memory import PhysRange

FRAMES = {"table": "0x1000", "first": 16, "count": 64}
GOOD: dict[str, dict[str, Any]] = {
    "boot": {"parameters": "0x8000"},
    "memory": {"frames": FRAMES, "scratch": [["0x400000", "0x200000"], ["0x0", "0x1"]]},
    "cpus": {"found": 4, "online": 3, "supported": 8},
    "segments": {"list": [["kernel", "0x400000", "0x1000"]], "entry": "0x400010"},
    "restored": {},
    "refused": {},
    "phase": {"frames": 7},
}


def event(kind: str, **changes: Any) -> GuestEvent:
    return GuestEvent(kind, 1, 0, 0.0, {**GOOD[kind], **changes})


def test_every_event_leaves_its_facts() -> None:
    facts = GuestFacts()
    assert not facts.refused
    for kind in GOOD:
        facts.take(event(kind))
    assert facts.parameters == 0x8000
    assert facts.memory == MemoryFacts(
        0x1000, 16, 64, (PhysRange(0x400000, 0x200000), PhysRange(0, 1))
    )
    assert facts.cpus and (facts.cpus.found, facts.cpus.online, facts.cpus.supported) == (4, 3, 8)
    assert facts.segments and facts.segments.entry == 0x400010
    assert facts.segments.items == (Segment("kernel", PhysRange(0x400000, 0x1000)),)
    assert facts.restored and facts.refused


@pytest.mark.parametrize(
    "kind, changes",
    [
        ("boot", {"parameters": 4096}),
        ("memory", {"frames": 7}),
        ("memory", {"frames": {**FRAMES, "table": 1}}),
        ("memory", {"frames": {**FRAMES, "first": True}}),
        ("memory", {"frames": {**FRAMES, "count": -1}}),
        ("memory", {"frames": {**FRAMES, "count": "64"}}),
        ("memory", {"scratch": {}}),
        ("memory", {"scratch": [["0x0"]]}),
        ("memory", {"scratch": [["0x0", "0x1", "0x2"]]}),
        ("memory", {"scratch": [["0x0", 1]]}),
        ("cpus", {"online": None}),
        ("segments", {"list": [[7, "0x0", "0x1"]]}),
        ("segments", {"list": [[]]}),
        ("segments", {"list": [["kernel", "0x0"]]}),
        ("segments", {"list": ["kernel"]}),
        ("segments", {"entry": "400010"}),
    ],
)
def test_a_field_of_another_kind_is_an_error(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(EventFieldError, match=f"event '{kind}'"):
        GuestFacts().take(event(kind, **changes))
