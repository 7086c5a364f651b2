# SPDX-License-Identifier: BSD-3-Clause
"""What handovers of a Linux cost, as a picture (SVG)."""

from __future__ import annotations

import math
from html import escape
from typing import Iterator, Sequence

from khorig.linux.cost.kind import METADATA, PHASES, Kind
from khorig.linux.cost.measurement import Measurement
from khorig.linux.cost.point import Point
from khorig.out.cost_text import name_of, short

# Of phases, then of parts of memory.
_COLOURS = ("#2563eb", "#dc2626", "#ca8a04", "#16a34a", "#7c3aed", "#0f766e", "#be185d", "#475569")
_WHAT = (*(phase.name for phase in PHASES), *METADATA)
_WIDTH, _HEIGHT = 420, 300  # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 34, 34  # around its axes
_LEGEND = 44
_FONT = "font-family='system-ui, sans-serif'"


def draw_costs(measurement: Measurement) -> str:
    """A panel for each machine, kind, and unit: log-log, so that what is linear rises by one decade
    for each decade of N (the thin lines). The other kernel is dashed."""
    panels = [
        (f"{machine}: {kind.value}, {unit}", machine, kind, names)
        for _, machine in measurement.places()
        for kind in Kind
        for unit, names in (("instructions", _WHAT[: len(PHASES)]), ("pages", METADATA))
        if any(p.kind is kind for p in measurement.on(machine, measurement.mine))
    ]
    rows = -(-len(panels) // 2)
    width, height = 2 * _WIDTH, _LEGEND + rows * _HEIGHT
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' {_FONT} font-size='11'>",
        f"<rect width='{width}' height='{height}' fill='#fff'/>",
        *_legend(measurement),
    ]
    for number, (title, machine, kind, names) in enumerate(panels):
        left, top = number % 2 * _WIDTH, _LEGEND + number // 2 * _HEIGHT
        lines.append(f"<g transform='translate({left} {top})'>")
        lines += _panel(measurement, title, machine, kind, names)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def _legend(measurement: Measurement) -> Iterator[str]:
    kernels = name_of(measurement.mine)
    if measurement.other:
        kernels += f" (solid), {name_of(measurement.other)} (dashed)"
    yield f"<text x='12' y='18' font-size='13' font-weight='600'>{escape(kernels)}</text>"
    for number, name in enumerate(_WHAT):
        x = 12 + number * 98
        yield f"<rect x='{x}' y='28' width='14' height='4' fill='{_COLOURS[number]}'/>"
        yield f"<text x='{x + 18}' y='34'>{escape(name)}</text>"


class _Axes:
    """Logarithmic, from a power of ten to one."""

    def __init__(self, sizes: Sequence[int], costs: Sequence[int]) -> None:
        self.x = _decades(sizes)
        self.y = _decades(costs)

    def place(self, size: int, cost: int) -> tuple[float, float]:
        """In pixels of the panel."""
        x = (math.log10(max(1, size)) - self.x[0]) / (self.x[1] - self.x[0])
        y = (math.log10(max(1, cost)) - self.y[0]) / (self.y[1] - self.y[0])
        inner = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return round(_LEFT + x * inner[0], 1), round(_HEIGHT - _BOTTOM - y * inner[1], 1)


def _decades(values: Sequence[int]) -> tuple[int, int]:
    low = math.floor(math.log10(max(1, min(values))))
    return low, max(low + 1, math.ceil(math.log10(max(1, max(values)))))


def _panel(
    measurement: Measurement, title: str, machine: str, kind: Kind, names: Sequence[str]
) -> Iterator[str]:
    yield f"<text x='{_LEFT}' y='20' font-size='12' font-weight='600'>{escape(title)}</text>"
    curves = []
    for kernel in filter(None, (measurement.mine, measurement.other)):
        points = [p for p in measurement.on(machine, kernel) if p.kind is kind and not p.why_not]
        for name in names:
            if places := _curve(points, name):
                curves.append((kernel, name, places))
    every = [place for _, _, places in curves for place in places]
    if not every:
        yield f"<text x='{_LEFT}' y='60' fill='#64748b'>nothing was measured</text>"
        return
    axes = _Axes([size for size, _ in every], [cost for _, cost in every])
    yield from _grid(axes)
    here = (g for g in measurement.steep if (g.machine, g.kind) == (machine, kind))
    steep = {(g.kernel, g.what) for g in here if g.what in names}
    for kernel, name, places in curves:
        colour = _COLOURS[_WHAT.index(name)]
        dash = "" if kernel == measurement.mine else " stroke-dasharray='5 3'"
        spots = [axes.place(size, cost) for size, cost in places]
        path = " ".join(f"{x},{y}" for x, y in spots)
        thick = 3.5 if (kernel, name) in steep else 1.8
        style = f"fill='none' stroke='{colour}' stroke-width='{thick}'{dash}"
        yield f"<polyline points='{path}' {style}/>"
        yield from (f"<circle cx='{x}' cy='{y}' r='2.5' fill='{colour}'/>" for x, y in spots)
    if steep:
        yield f"<text x='{_LEFT + 8}' y='{_TOP + 14}' fill='#dc2626'>thick: faster than N</text>"


def _curve(points: Sequence[Point], name: str) -> list[tuple[int, int]]:
    found = ((point.done, point.cost(name)) for point in points)
    return sorted((size, cost) for size, cost in found if cost)  # no logarithm has 0


def _grid(axes: _Axes) -> Iterator[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for decade in range(axes.x[0], axes.x[1] + 1):
        x, _ = axes.place(10**decade, 1)
        yield f"<line x1='{x}' y1='{_TOP}' x2='{x}' y2='{bottom}' stroke='#e2e8f0'/>"
        yield f"<text x='{x}' y='{bottom + 16}' text-anchor='middle'>{short(10**decade)}</text>"
    for decade in range(axes.y[0], axes.y[1] + 1):
        _, y = axes.place(1, 10**decade)
        yield f"<line x1='{_LEFT}' y1='{y}' x2='{right}' y2='{y}' stroke='#e2e8f0'/>"
        yield f"<text x='{_LEFT - 6}' y='{y + 4}' text-anchor='end'>{short(10**decade)}</text>"
        # Linear from here on, as far as the panel goes.
        last = min(axes.x[1] - axes.x[0], axes.y[1] - decade)
        ends = axes.place(10 ** axes.x[0], 10**decade), axes.place(
            10 ** (axes.x[0] + last), 10 ** (decade + last)
        )
        (x1, y1), (x2, y2) = ends
        dotted = "stroke='#cbd5e1' stroke-dasharray='1 3'"
        yield f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' {dotted}/>"
