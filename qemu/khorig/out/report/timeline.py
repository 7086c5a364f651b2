# SPDX-License-Identifier: BSD-3-Clause
"""Timeline of the guest by its own clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from khorig.out.report.run_record import RunRecord
from khorig.run.result_builder import waits_of

# Phases that exist only for the rig.
RIG_PHASES = frozenset({"create", "ledger", "verify"})


@dataclass
class Span:
    """A phase. Spans of a lane are nested or disjoint."""

    name: str
    begin: int  # ns of the guest's clock
    end: int
    cost: int  # ns reported by the guest, over all pieces of the phase
    pages: int = 0
    nested: bool = False

    @property
    def rig(self) -> bool:
        """Whether the phase exists only for the rig."""
        return self.name in RIG_PHASES


@dataclass(frozen=True)
class Mark:
    """An event of the guest."""

    name: str
    at: int  # ns of the guest's clock
    stop: bool = False


@dataclass
class Lane:
    """The timeline of a generation."""

    generation: int
    begin: int
    end: int
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


def lanes_of(record: RunRecord) -> list[Lane]:
    """One lane for each generation with an event."""
    lanes: list[Lane] = []
    for event in record.guest:
        kind, now = str(event["ev"]), int(event["t"])
        if kind == "boot" or not lanes:
            lanes.append(Lane(int(event["gen"]), now, now))
        lane = lanes[-1]
        lane.end = max(lane.end, now)
        if kind == "phase":
            _add(lane, event, now)
        elif kind == "stop":
            lane.marks.append(Mark(str(event.get("at", "stop")), now, stop=True))
        elif kind in ("jump", "done", "panic", "fail", "mismatch", "error", "refused"):
            lane.marks.append(Mark(kind, now))
    return [_tidy(lane) for lane in lanes]


def _add(lane: Lane, event: Mapping[str, Any], now: int) -> None:
    cost, pages = event.get("ns"), event.get("pages", 0)
    if isinstance(cost, int) and 0 <= cost <= now and isinstance(pages, int):
        lane.spans.append(Span(str(event.get("name")), now - cost, now, cost, pages))
        lane.begin = min(lane.begin, now - cost)


def _tidy(lane: Lane) -> Lane:
    """Makes spans nested or disjoint. A phase may consist of pieces, of which only the end and the
    total cost are known: it is cut where it would partly overlap an earlier one."""
    kept: list[Span] = []
    for span in lane.spans:
        for other in reversed(kept):
            if other.end <= span.begin:
                break
            if other.begin < span.begin:
                span.begin = max(span.begin, other.end)
        for other in kept:
            if span.begin <= other.begin and other.end <= span.end:
                other.nested = True
        kept.append(span)
    return lane


def blackouts(record: RunRecord, lanes: list[Lane]) -> list[tuple[int, dict[str, int]]]:
    """Cost of each jump: the generation entered, and ns per part."""
    found = []
    for before, after in zip(lanes, lanes[1:]):
        costs = {span.name: span.cost for span in before.spans}
        jumps = [mark.at for mark in before.marks if mark.name == "jump"]
        if not jumps:
            continue
        parts = {"serialize": costs.get("serialize", 0)}
        boots = [
            int(event["t"])
            for event in record.guest
            if event["ev"] == "boot" and int(event["gen"]) == after.generation
        ]
        left = jumps[-1] + sum(
            waits_of(event)
            for event in record.guest
            if event["ev"] == "quiesce" and int(event["gen"]) == before.generation
        )
        parts["quiesce and relocate"] = max(0, boots[0] - left) if boots else 0
        costs = {span.name: span.cost for span in after.spans}
        parts["early boot"] = costs.get("early-boot", 0)
        parts["restore"] = costs.get("restore", 0)
        found.append((after.generation, parts))
    return found
