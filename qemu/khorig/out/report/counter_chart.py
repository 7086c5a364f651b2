# SPDX-License-Identifier: BSD-3-Clause
"""Draws what counts across jumps, over the guest's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from khorig.mem.untrusted import count, text
from khorig.out.report.run_record import RunRecord

WIDTH, HEIGHT = 1000.0, 160.0  # units of the plot


@dataclass(frozen=True)
class Point:
    """A value that the host read at a stop."""

    x: float
    y: float
    value: int
    where: str  # "generation 2 at entry"


@dataclass(frozen=True)
class CounterChart:
    """One counter."""

    what: str
    points: Sequence[Point]
    jumps: Sequence[tuple[float, int]]  # where, and the generation that jumps
    least: int
    most: int
    first_ns: int
    last_ns: int

    @property
    def path(self) -> str:
        """The line through all points, for an SVG."""
        return "M" + "L".join(f"{point.x:.1f} {point.y:.1f}" for point in self.points)


def charts_of(record: RunRecord) -> list[CounterChart]:
    """One for each counter, in the order of their first values."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for entry in record.counters:
        by_name.setdefault(text(entry["what"]), []).append(entry)
    jumps = [
        (count(event["t"]), count(event["gen"])) for event in record.guest if event["ev"] == "jump"
    ]
    return [_chart(what, entries, jumps) for what, entries in by_name.items()]


def _chart(
    what: str, entries: Sequence[Mapping[str, Any]], jumps: Sequence[tuple[int, int]]
) -> CounterChart:
    times = [count(entry["ns"]) for entry in entries]
    values = [count(entry["value"]) for entry in entries]
    first, last, least, most = min(times), max(times), min(values), max(values)
    across, up = max(1, last - first), max(1, most - least)

    def points() -> Iterator[Point]:
        for entry, time, value in zip(entries, times, values):
            where = f"generation {count(entry['gen'])} at {text(entry['at'])}"
            x, y = WIDTH * (time - first) / across, HEIGHT * (most - value) / up
            yield Point(x, y, value, where)

    marks = [(WIDTH * (at - first) / across, gen) for at, gen in jumps if first <= at <= last]
    return CounterChart(what, tuple(points()), tuple(marks), least, most, first, last)
