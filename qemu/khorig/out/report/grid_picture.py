# SPDX-License-Identifier: BSD-3-Clause
"""Draws grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Mapping, Sequence

from khorig.linux.grid.grid import Grid
from khorig.linux.grid.hops import Hops
from khorig.linux.grid.outcome import Outcome

_PART, _HEIGHT, _GAP, _HEAD = 34, 34, 10, 26
_CHARACTER = 7.4  # width at the size of a label
_LONGEST = 28  # characters of a label that are drawn

# Class of the style sheet for each outcome.
_STYLES = {
    Outcome.ACCEPTED: "accepted",
    Outcome.REFUSED: "refused",
    Outcome.TAKEN_WRONGLY: "wrong",
    Outcome.DIED: "died",
    Outcome.NOT_JUDGED: "unjudged",
}


@dataclass(frozen=True)
class Part:
    """One chain: a square."""

    x: float
    y: float
    style: str
    mark: str
    title: str
    link: str  # to the run in the page


@dataclass(frozen=True)
class Label:
    """Name of a row or column."""

    x: float
    y: float
    text: str
    title: str


@dataclass(frozen=True)
class GridPicture:
    """The grid of one machine, in units of an SVG."""

    title: str
    width: float
    height: float
    part: int  # side of a square
    rows: Sequence[Label]
    columns: Sequence[Label]
    parts: Sequence[Part]


def draw_grids(grids: Sequence[Grid], links: Mapping[str, str]) -> list[GridPicture]:
    """`links` leads from a run's id to its place in the page."""
    return [_draw(grid, links) for grid in grids]


def legend() -> list[tuple[str, str, str]]:
    """(style, mark, words) of each outcome."""
    return [(_STYLES[outcome], outcome.mark, outcome.value) for outcome in Outcome]


def _draw(grid: Grid, links: Mapping[str, str]) -> GridPicture:
    names = [_short(name) for name in grid.kernels]
    parts_wide = len(Hops) * _PART
    left = max(map(len, names)) * _CHARACTER + _GAP
    widths = [max(parts_wide, len(name) * _CHARACTER) + 2 * _GAP for name in names]
    at = {name: left + sum(widths[:number]) for number, name in enumerate(grid.kernels)}
    down = {n: _HEAD + number * (_HEIGHT + _GAP) for number, n in enumerate(grid.kernels)}

    def parts() -> Iterator[Part]:
        for first, second, hops, cell in grid.in_order:
            across = at[second] + list(Hops).index(hops) * _PART
            title = f"{first} to {second}, {hops.value}: {cell.outcome.value}"
            if cell.words:
                title += f": {cell.words}"
            style, mark = _STYLES[cell.outcome], cell.outcome.mark
            yield Part(across, down[first], style, mark, title, links.get(cell.run, ""))

    middle = _HEIGHT / 2 + 5
    return GridPicture(
        f"{grid.arch} ({grid.machine})",
        left + sum(widths),
        _HEAD + len(names) * (_HEIGHT + _GAP),
        _PART,
        [Label(0, down[full] + middle, name, full) for name, full in zip(names, grid.kernels)],
        [Label(at[full], _HEAD - 10, name, full) for name, full in zip(names, grid.kernels)],
        tuple(parts()),
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
