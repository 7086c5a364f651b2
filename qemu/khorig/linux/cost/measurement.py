# SPDX-License-Identifier: BSD-3-Clause
"""Everything that was measured of one or two kernels, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from khorig.linux.cost.judgement import DEAREST, STEEPEST, Growth, Ratio, growths, ratios
from khorig.linux.cost.point import Point


@dataclass(frozen=True)
class Measurement:
    """Costs of kernel `mine`, and of `other` where there is one."""

    mine: str
    other: str  # "" for none
    points: tuple[Point, ...]
    steepest: float = STEEPEST
    dearest: float = DEAREST

    @property
    def growths(self) -> list[Growth]:
        """Of both kernels."""
        return growths(self.points)

    @property
    def ratios(self) -> list[Ratio]:
        """Of mine to the other."""
        return list(ratios(self.points, self.mine, self.other)) if self.other else []

    @property
    def steep(self) -> list[Growth]:
        """Those that grow faster than their work."""
        return [growth for growth in self.growths if growth.is_steep(self.steepest)]

    @property
    def dear(self) -> list[Ratio]:
        """Those that are more expensive than in the other kernel."""
        return [ratio for ratio in self.ratios if ratio.is_dear(self.dearest)]

    @property
    def is_worse(self) -> bool:
        """Whether mine has what the other has not: a cost that grows faster than its work, or is
        higher."""
        others = {(g.machine, g.kind, g.what) for g in self.steep if g.kernel == self.other}
        mine = (g for g in self.steep if g.kernel == self.mine)
        return bool(self.dear) or any((g.machine, g.kind, g.what) not in others for g in mine)

    def places(self) -> list[tuple[str, str]]:
        """Architecture and machine of each part of it."""
        return list(dict.fromkeys((point.arch, point.machine) for point in self.points))

    def on(self, machine: str, kernel: str) -> Sequence[Point]:
        """The points of a kernel on a machine."""
        return [p for p in self.points if (p.machine, p.kernel) == (machine, kernel)]

    def json(self) -> dict[str, Any]:
        """For a document."""
        return {
            "schema": 1,
            "kernel": self.mine,
            "against": self.other or None,
            "bounds": {"exponent": self.steepest, "ratio": self.dearest},
            "points": [point.json() for point in self.points],
            "growth": [growth.json(self.steepest) for growth in self.growths],
            "ratios": [ratio.json(self.dearest) for ratio in self.ratios],
        }
