# SPDX-License-Identifier: BSD-3-Clause
"""What handovers of a Linux cost, as text."""

from __future__ import annotations

from typing import Iterator, Mapping, Sequence

from khorig.guest.chain_run import split_build
from khorig.linux.cost.judgement import Growth, Ratio
from khorig.linux.cost.kind import METADATA, PHASES, Kind
from khorig.linux.cost.measurement import Measurement
from khorig.linux.cost.point import Point
from khorig.mem.untrusted import printable

_NAME = 18  # columns of a name
_CELL = 10
_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k"))


def render_costs(measurement: Measurement) -> str:
    """A table for each machine and kind: instructions of each phase and pages of metadata over the
    number of things handed over, how they grow, the ratio to the other kernel; then what is
    flagged."""
    lines: list[str] = []
    for arch, machine in measurement.places():
        for kind in Kind:
            mine = [p for p in measurement.on(machine, measurement.mine) if p.kind is kind]
            if mine:
                lines += ["", *_table(measurement, f"{arch} ({machine})", kind, mine)]
    lines += ["", *_flags(measurement)]
    return "\n".join(printable(line) for line in lines)


def name_of(kernel: str) -> str:
    """Without its build."""
    return split_build(kernel)[0]


def short(number: int) -> str:
    """ "782k", "12.3M"."""
    for unit, letter in _UNITS:
        if number >= unit:
            digits = f"{number / unit:.{1 if number < 10 * unit else 0}f}"
            return digits.removesuffix(".0") + letter
    return str(number)


def _table(
    measurement: Measurement, where: str, kind: Kind, mine: Sequence[Point]
) -> Iterator[str]:
    machine = mine[0].machine
    others = {p.wanted: p for p in measurement.on(machine, measurement.other) if p.kind is kind}
    grown = {
        g.what: g
        for g in measurement.growths
        if (g.kernel, g.machine, g.kind) == (measurement.mine, machine, kind)
    }
    yield f"{where}: {name_of(measurement.mine)}, {kind.value}"
    head = "".join(f"{point.wanted:>{_CELL}}" for point in mine)
    yield f"  {'':<{_NAME}}{head}  grows as"
    yield "  instructions"
    for phase in PHASES:
        yield from _rows(measurement, phase.name, mine, others, grown)
    yield "  pages besides what is handed over"
    for name in METADATA:
        yield from _rows(measurement, name, mine, others, grown)
    for point in (*mine, *others.values()):
        if point.limit:
            yield f"  limit of {name_of(point.kernel)}: {point.limit}"
        if point.why_not:
            yield f"  {name_of(point.kernel)}, {point.wanted}: not measured: {point.why_not}"


def _rows(
    measurement: Measurement,
    what: str,
    mine: Sequence[Point],
    others: Mapping[int, Point],
    grown: Mapping[str, Growth],
) -> Iterator[str]:
    costs = [point.cost(what) for point in mine]
    if all(cost is None for cost in costs):
        return
    cells = "".join(f"{'-' if cost is None else short(cost):>{_CELL}}" for cost in costs)
    growth = grown.get(what)
    words = _growth(growth, measurement.steepest) if growth else ""
    yield f"    {what:<{_NAME - 2}}{cells}  {words}".rstrip()
    if not others:
        return
    bound = measurement.dearest
    ratios = {r.size: r for r in measurement.ratios if r.what == what and _is_of(r, mine[0])}
    found = [ratios.get(p.done) if p.wanted in others else None for p in mine]
    cells = "".join(f"{_ratio(ratio, bound):>{_CELL}}" for ratio in found)
    yield f"      / {name_of(measurement.other):<{_NAME - 6}}{cells}".rstrip()


def _is_of(ratio: Ratio, point: Point) -> bool:
    return (ratio.machine, ratio.kind) == (point.machine, point.kind)


def _growth(growth: Growth, steepest: float) -> str:
    if growth.exponent is None:
        return ""
    mark = "  <-- faster than its work" if growth.is_steep(steepest) else ""
    return f"N^{growth.exponent:.2f}{mark}"


def _ratio(ratio: Ratio | None, dearest: float) -> str:
    if ratio is None:
        return "-"
    return f"x{ratio.value:.2f}" + ("!" if ratio.is_dear(dearest) else "")


def _flags(measurement: Measurement) -> Iterator[str]:
    for g in measurement.steep:
        (small, large), (low, high) = g.sizes, g.costs
        yield (
            f"faster than its work: {g.machine}, {name_of(g.kernel)}, {g.kind.value}, {g.what}: "
            f"N^{g.exponent:.2f} (bound {measurement.steepest:g}) from {low} at {small} to {high} "
            f"at {large}"
        )
    for r in measurement.dear:
        yield (
            f"more expensive: {r.machine}, {r.size} {r.kind.value}, {r.what}: {r.mine}, "
            f"{name_of(measurement.other)} {r.other}: x{r.value:.2f} "
            f"(bound {measurement.dearest:g})"
        )
    steep, dear = len(measurement.steep), len(measurement.dear)
    compared = f", {dear} of {len(measurement.ratios)} more expensive" if measurement.other else ""
    known = sum(g.exponent is not None for g in measurement.growths)
    grown = f"{steep} of {known} costs that grow do so faster than their work"
    yield (grown if known else "no cost grows by more than noise") + compared
