# SPDX-License-Identifier: BSD-3-Clause
"""What grows faster than its work, and what became more expensive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from khorig.linux.cost.kind import METADATA, PHASES, Kind
from khorig.linux.cost.point import Point

STEEPEST = 1.2  # exponent of cost over N that is still linear: instructions are not all the same
DEAREST = 1.25  # ratio of two kernels' costs

# Below that a difference is the timer's, whose interrupts fall where they fall, or of a whole page.
_LEAST = {**{phase.name: 50_000 for phase in PHASES}, **{name: 4 for name in METADATA}}
_ABOVE_BASE = 0.5  # of what the smallest handover costs

_Place = tuple[str, str, Kind]  # kernel, machine, kind


@dataclass(frozen=True)
class Growth:
    """How the cost of one phase, or the pages of one part, grow with N. The cost at the smallest N
    is taken for what does not depend on N, and is left out: cost(N) - cost(N0) ~ (N - N0)^exponent,
    between the two largest N at which that is more than noise."""

    kernel: str
    machine: str
    kind: Kind
    what: str
    exponent: float | None  # None: too few sizes at which it is more than noise
    sizes: tuple[int, int] = (0, 0)  # the two
    costs: tuple[int, int] = (0, 0)  # at these

    def is_steep(self, steepest: float) -> bool:
        """Whether it grows faster than N."""
        return self.exponent is not None and self.exponent > steepest

    def json(self, steepest: float) -> dict[str, Any]:
        """For a document."""
        return {
            "kernel": self.kernel,
            "machine": self.machine,
            "kind": self.kind.value,
            "what": self.what,
            "exponent": None if self.exponent is None else round(self.exponent, 3),
            "sizes": list(self.sizes),
            "costs": list(self.costs),
            "flagged": self.is_steep(steepest),
        }


@dataclass(frozen=True)
class Ratio:
    """The cost of the same handover in two kernels."""

    machine: str
    kind: Kind
    size: int
    what: str
    mine: int
    other: int

    @property
    def value(self) -> float:
        """How many times as expensive; infinite where it cost nothing."""
        if self.other > 0:
            return self.mine / self.other
        return 1.0 if self.mine <= 0 else math.inf

    def is_dear(self, dearest: float) -> bool:
        """Whether it is more expensive by more than noise."""
        return self.value > dearest and self.mine - self.other > _LEAST[self.what]

    def json(self, dearest: float) -> dict[str, Any]:
        """For a document; JSON has no infinity."""
        return {
            "machine": self.machine,
            "kind": self.kind.value,
            "size": self.size,
            "what": self.what,
            "mine": self.mine,
            "other": self.other,
            "ratio": round(self.value, 3) if math.isfinite(self.value) else None,
            "flagged": self.is_dear(dearest),
        }


def growths(points: Sequence[Point]) -> list[Growth]:
    """Of every phase and part that was measured."""
    found = []
    for (kernel, machine, kind), mine in _by_place(points).items():
        for what in _LEAST:
            costs = {p.done: c for p in mine if (c := p.cost(what)) is not None}
            if len(costs) > 1:
                found.append(_growth(kernel, machine, kind, what, sorted(costs.items())))
    return found


def _growth(
    kernel: str, machine: str, kind: Kind, what: str, costs: Sequence[tuple[int, int]]
) -> Growth:
    (smallest, base), *others = costs
    least = max(_LEAST[what], _ABOVE_BASE * base)
    usable = [(size, cost) for size, cost in others if cost - base >= least]
    if len(usable) < 2:
        return Growth(kernel, machine, kind, what, None)
    (first, low), (second, high) = usable[-2:]
    work = math.log((second - smallest) / (first - smallest))
    exponent = math.log((high - base) / (low - base)) / work
    return Growth(kernel, machine, kind, what, exponent, (first, second), (low, high))


def ratios(points: Sequence[Point], mine: str, other: str) -> Iterator[Ratio]:
    """Of kernel `mine` to kernel `other`, wherever both handed over as much."""
    theirs = {(p.machine, p.kind, p.done): p for p in points if p.kernel == other}
    for point in points:
        against = theirs.get((point.machine, point.kind, point.done))
        if point.kernel != mine or against is None:
            continue
        for what in _LEAST:
            one, two = point.cost(what), against.cost(what)
            if one is not None and two is not None:
                yield Ratio(point.machine, point.kind, point.done, what, one, two)


def _by_place(points: Sequence[Point]) -> Mapping[_Place, list[Point]]:
    places: dict[_Place, list[Point]] = {}
    for point in points:
        places.setdefault((point.kernel, point.machine, point.kind), []).append(point)
    return places
