# SPDX-License-Identifier: BSD-3-Clause
"""Memory map as text."""

from __future__ import annotations

import math
from typing import Iterator

import numpy as np
import numpy.typing as npt
from rich.text import Text

from khorig.kho.owners import expand
from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import PhysRange
from khorig.out.text import size

_COLUMNS = 64
_ROWS = 16  # of one range at most
_MAX_RANGES = 8

# Letter, style and meaning; later ones are drawn over earlier ones.
_CLASSES = (
    (".", "dim", "not preserved"),
    ("s", "cyan", "scratch"),
    ("-", "green", "partly preserved"),
    ("#", "bold green", "preserved"),
    ("f", "yellow", "fragment"),
    ("t", "magenta", "tracker"),
    ("R", "bold yellow", "root"),
    ("X", "bold red", "conflict: preserved or tracker in scratch"),
)
_EMPTY, _SCRATCH, _PART, _FULL, _FRAGMENT, _TRACKER, _ROOT, _CONFLICT = range(len(_CLASSES))
_Cells = npt.NDArray[np.uint8]


def memory_map(snapshot: Snapshot) -> list[Text]:
    """RAM ranges as rows of cells; a cell is a power of two pages."""
    lines = []
    drawn: set[int] = set()
    for ram in snapshot.memory.ranges[:_MAX_RANGES]:
        unit = _unit(ram, snapshot.geometry.page_size)
        cells = _cells(snapshot, ram, unit)
        drawn.update(cells.tolist())
        lines.append(Text(f"{ram}  {size(ram.size)}, {size(unit)} per cell"))
        lines += _rows(cells, ram.begin, unit)
    legend = Text()
    for kind in sorted(drawn):
        letter, style, meaning = _CLASSES[kind]
        legend.append(letter, style)
        legend.append(f" {meaning}   ")
    return [*lines, legend]


def _unit(ram: PhysRange, page: int) -> int:
    """Bytes per cell: a power of two pages."""
    cells = _COLUMNS * _ROWS
    pages = max(1, -(-ram.size // (page * cells)))
    return page << math.ceil(math.log2(pages))


def _cells(snapshot: Snapshot, ram: PhysRange, unit: int) -> _Cells:
    count = -(-ram.size // unit)
    cells: _Cells = np.zeros(count, dtype=np.uint8)
    shift = snapshot.geometry.page_shift

    def at(addresses: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        inside = addresses[(addresses >= ram.begin) & (addresses < ram.end)]
        result: npt.NDArray[np.int64] = (inside - ram.begin) // unit
        return result

    scratch = [a for a in snapshot.scratch or () if a.overlaps(ram.begin, ram.size)]
    for area in scratch:
        first = max(0, area.begin - ram.begin) // unit
        cells[first : -(-(area.end - ram.begin) // unit)] = _SCRATCH
    pages = _pages_in_cells(snapshot, ram, unit, count)
    cells[pages > 0] = _PART
    cells[pages >= unit >> shift] = _FULL
    fragments = np.array([f.address for f in snapshot.handover.fragments[1:]], dtype=np.int64)
    cells[at(fragments)] = _FRAGMENT
    nodes = np.array([n.address for n in snapshot.handover.tree.nodes], dtype=np.int64)
    cells[at(nodes)] = _TRACKER
    cells[at(np.array([snapshot.chosen.address], dtype=np.int64))] = _ROOT
    cells[at(_conflicts(snapshot, nodes))] = _CONFLICT
    return cells


def _pages_in_cells(
    snapshot: Snapshot, ram: PhysRange, unit: int, count: int
) -> npt.NDArray[np.int64]:
    """Preserved pages per cell, from the intervals of owners without expanding them."""
    shift = snapshot.geometry.page_shift
    if not len(snapshot.owners.begins):
        return np.zeros(count, dtype=np.int64)
    low, high = ram.begin >> shift, -(-ram.end >> shift)
    cell = unit >> shift
    begins = np.clip(snapshot.owners.begins, low, high) - low
    ends = np.clip(snapshot.owners.ends, low, high) - low
    edges = np.arange(count + 1, dtype=np.int64) * cell
    lengths = np.concatenate([[0], np.cumsum(ends - begins)])
    before = np.searchsorted(begins, edges, side="right") - 1
    known = before >= 0
    inside = np.minimum(edges - begins[before], ends[before] - begins[before])
    below: npt.NDArray[np.int64] = np.where(known, lengths[before] + inside, 0)
    return np.diff(below)


def _conflicts(snapshot: Snapshot, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    shift = snapshot.geometry.page_shift
    found = [np.empty(0, dtype=np.int64)]
    owners = snapshot.owners
    for area in snapshot.scratch or ():
        begins = np.maximum(owners.begins, area.begin >> shift)
        ends = np.minimum(owners.ends, area.end >> shift)
        inside = begins < ends
        found.append(expand(begins[inside], ends[inside]) << shift)
        found.append(nodes[(nodes >= area.begin) & (nodes < area.end)])
    return np.concatenate(found)


def _rows(cells: _Cells, begin: int, unit: int) -> Iterator[Text]:
    for row in range(0, len(cells), _COLUMNS):
        line = Text(f"{begin + row * unit:#014x} ")
        for kind in cells[row : row + _COLUMNS].tolist():
            letter, style, _ = _CLASSES[kind]
            line.append(letter, style)
        yield line
