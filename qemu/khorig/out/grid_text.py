# SPDX-License-Identifier: BSD-3-Clause
"""Grids as text."""

from __future__ import annotations

import textwrap
from typing import Iterator, Sequence

from khorig.guest.chain_run import split_build
from khorig.linux.grid.cell import Cell
from khorig.linux.grid.grid import Grid
from khorig.linux.grid.hops import Hops
from khorig.linux.grid.outcome import Outcome
from khorig.mem.untrusted import printable
from khorig.out.text import rule_label
from khorig.rules.finding import Verdict

WIDTH = 100
_NONE = "-"  # such a chain is not part of the grid
_LABEL = 10  # characters of a label in an explanation


def render_grids(grids: Sequence[Grid]) -> str:
    """A table for each machine, a legend, and every cell that is not accepted with its reason. No
    line but a command is longer than WIDTH."""
    lines: list[str] = []
    for grid in grids:
        lines += ["", *_table(grid)]
    lines += ["", *_legend()]
    for grid in grids:
        for first, second, hops, cell in grid.in_order:
            if cell.outcome is not Outcome.ACCEPTED:
                lines += ["", *_explanation(grid, first, second, hops, cell)]
    return "\n".join(printable(line) for line in [*lines, "", _counts(grids)])


def _table(grid: Grid) -> Iterator[str]:
    """Columns have the names of the kernels where these fit, else the numbers of the rows."""
    cell = 2 * len(Hops) - 1
    names = [textwrap.shorten(name, WIDTH // 3, placeholder="...") for name in grid.kernels]
    widths = [max(cell, len(name)) + 2 for name in names]
    first = max(map(len, names)) + 2
    numbered = first + sum(widths) > WIDTH
    if numbered:
        heads = [str(number) for number in range(1, len(names) + 1)]
        names = [f"{head:>2} {name}" for head, name in zip(heads, names)]
        widths, first = [cell + 2] * len(names), first + 3
    else:
        heads = names
    yield f"{grid.arch} ({grid.machine}): from row to column"
    yield " " * first + "".join(f"{head:>{width}}" for head, width in zip(heads, widths))
    for name, one in zip(names, grid.kernels):
        marks = (_marks(grid, one, other) for other in grid.kernels)
        yield f"{name:<{first}}" + "".join(f"{m:>{width}}" for m, width in zip(marks, widths))


def _marks(grid: Grid, first: str, second: str) -> str:
    cells = (grid.cells.get((first, second, hops)) for hops in Hops)
    return " ".join(cell.outcome.mark if cell else _NONE for cell in cells)


def _legend() -> Iterator[str]:
    ways = ", ".join(f"{hops.value} ({hops.form})" for hops in Hops)
    yield f"in each cell, from A to B: {ways}"
    yield "  ".join([*(f"{o.mark} {o.value}" for o in Outcome), f"{_NONE} no such chain"])


def _explanation(grid: Grid, first: str, second: str, hops: Hops, cell: Cell) -> Iterator[str]:
    way = f"{first} to {second}, {hops.value}"
    yield from textwrap.wrap(
        f"{cell.outcome.mark} {grid.machine}: {way}: {cell.outcome.value}", WIDTH
    )
    if cell.verdict is not Verdict.PASS:
        rule = rule_label(cell.rule)
        yield from _pair("verdict", " ".join(part for part in (cell.verdict.value, rule) if part))
    if cell.generation:
        name = split_build(cell.kernel)[0]
        place = f"{name}, generation {cell.generation}" if name else f"{cell.generation}"
        yield from _pair("kernel", place + (f", at {cell.stop}" if cell.stop else ""))
    yield from _pair("words" if cell.outcome is Outcome.REFUSED else "cause", cell.words)
    yield from _pair("page" if cell.where.startswith("0x") else "place", cell.where)
    yield from _pair("owner", cell.owner)
    for number, place in enumerate(cell.places):
        yield from _pair("" if number else "where", place)
    if cell.rerun:
        yield f"  {'rerun':<{_LABEL}}{cell.rerun}"


def _pair(label: str, value: str) -> list[str]:
    head = f"  {label:<{_LABEL}}"
    return textwrap.wrap(
        value, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def _counts(grids: Sequence[Grid]) -> str:
    cells = [cell.outcome for grid in grids for cell in grid.cells.values()]
    counts = (f"{cells.count(o)} {o.value}" for o in Outcome if o in cells)
    return f"{len(cells)} chains: " + ", ".join(counts)
