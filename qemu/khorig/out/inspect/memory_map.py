# SPDX-License-Identifier: BSD-3-Clause
"""Memory as a picture of letters."""

from __future__ import annotations

import math
from typing import Iterator

import numpy as np
import numpy.typing as npt
from rich.text import Text

from khorig.kho.inspection import Inspection
from khorig.mem.memory import PhysRange
from khorig.out.text import size

_COLUMNS = 64
_ROWS = 16  # of one range at most
_MAX_RANGES = 8

# Letter, style and meaning, each drawn over those before it.
_CLASSES = (
    (".", "dim", "not preserved"),
    ("s", "cyan", "scratch"),
    ("-", "green", "preserved in part"),
    ("#", "bold green", "preserved"),
    ("f", "yellow", "fragment"),
    ("t", "magenta", "tracker"),
    ("R", "bold yellow", "root"),
    ("X", "bold red", "conflict: preserved or tracker in scratch"),
)
_EMPTY, _SCRATCH, _PART, _FULL, _FRAGMENT, _TRACKER, _ROOT, _CONFLICT = range(len(_CLASSES))
_Cells = npt.NDArray[np.uint8]


def memory_map(inspection: Inspection) -> list[Text]:
    """The ranges of RAM in lines of cells, each cell so many pages that the picture is small."""
    lines = []
    drawn: set[int] = set()
    for ram in inspection.memory.ranges[:_MAX_RANGES]:
        unit = _unit(ram, inspection.geometry.page_size)
        cells = _cells(inspection, ram, unit)
        drawn.update(cells.tolist())
        lines.append(Text(f"{ram}  {size(ram.size)}, {size(unit)} a cell"))
        lines += _rows(cells, ram.begin, unit)
    legend = Text()
    for kind in sorted(drawn):
        letter, style, meaning = _CLASSES[kind]
        legend.append(letter, style)
        legend.append(f" {meaning}   ")
    return [*lines, legend]


def _unit(ram: PhysRange, page: int) -> int:
    """Bytes of a cell: a power of two pages."""
    cells = _COLUMNS * _ROWS
    pages = max(1, -(-ram.size // (page * cells)))
    return page << math.ceil(math.log2(pages))


def _cells(inspection: Inspection, ram: PhysRange, unit: int) -> _Cells:
    count = -(-ram.size // unit)
    cells: _Cells = np.zeros(count, dtype=np.uint8)
    shift = inspection.geometry.page_shift

    def at(addresses: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        inside = addresses[(addresses >= ram.begin) & (addresses < ram.end)]
        result: npt.NDArray[np.int64] = (inside - ram.begin) // unit
        return result

    scratch = [a for a in inspection.scratch or () if a.overlaps(ram.begin, ram.size)]
    for area in scratch:
        first = max(0, area.begin - ram.begin) // unit
        cells[first : -(-(area.end - ram.begin) // unit)] = _SCRATCH
    pages = np.bincount(at(inspection.owners.frames << shift), minlength=count)
    cells[pages > 0] = _PART
    cells[pages >= unit >> shift] = _FULL
    fragments = np.array([f.address for f in inspection.handover.fragments[1:]], dtype=np.int64)
    cells[at(fragments)] = _FRAGMENT
    nodes = np.array([n.address for n in inspection.handover.tree.nodes], dtype=np.int64)
    cells[at(nodes)] = _TRACKER
    cells[at(np.array([inspection.chosen.address], dtype=np.int64))] = _ROOT
    cells[at(_conflicts(inspection, nodes))] = _CONFLICT
    return cells


def _conflicts(
    inspection: Inspection, nodes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    shift = inspection.geometry.page_shift
    found = [np.empty(0, dtype=np.int64)]
    for area in inspection.scratch or ():
        for addresses in (inspection.owners.frames << shift, nodes):
            found.append(addresses[(addresses >= area.begin) & (addresses < area.end)])
    return np.concatenate(found)


def _rows(cells: _Cells, begin: int, unit: int) -> Iterator[Text]:
    for row in range(0, len(cells), _COLUMNS):
        line = Text(f"{begin + row * unit:#014x} ")
        for kind in cells[row : row + _COLUMNS].tolist():
            letter, style, _ = _CLASSES[kind]
            line.append(letter, style)
        yield line
