# SPDX-License-Identifier: BSD-3-Clause
"""Draws memory use: rows of RAM as SVG paths."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from khorig.mem.memory import PhysRange

WIDTH = 1000.0  # units of a row
ROW = 12  # units from row to row
_BAR = 9  # height of the bar in it
_MOST_ROWS = 32
_SMALLEST = 4.0  # units; a single page must be visible
_MARK = 12.0  # units of a conflict
_COLOURS = 8
STRUCTURE = ("fragment", "root")  # owners with a colour of their own


@dataclass(frozen=True)
class Layer:
    """One kind of memory, or one owner."""

    key: str  # of its colour
    name: str
    path: str  # of the SVG
    size: int  # bytes


@dataclass(frozen=True)
class MemoryMap:
    """A drawn map."""

    rows: Sequence[int]  # start addresses
    row_size: int  # bytes
    layers: Sequence[Layer]  # back to front
    free: int  # bytes not covered by any layer
    conflicts: Sequence[int]  # addresses

    @property
    def height(self) -> int:
        """Height in units."""
        return max(1, len(self.rows)) * ROW


class _Sheet:
    """Maps addresses to coordinates."""

    def __init__(self, ranges: Sequence[PhysRange]) -> None:
        total = sum(r.size for r in ranges)
        self.row_size = 1 << max(12, (max(1, total // _MOST_ROWS) - 1).bit_length())
        self.rows: list[int] = []
        for r in ranges:
            first = r.begin - r.begin % self.row_size
            self.rows += [
                begin
                for begin in range(first, r.end, self.row_size)
                if not self.rows or begin > self.rows[-1]
            ]

    def _pieces(self, area: PhysRange) -> Iterator[tuple[int, float, float]]:
        """(row, left, width) for each row of an area."""
        scale = WIDTH / self.row_size
        for number in range(max(0, bisect_right(self.rows, area.begin) - 1), len(self.rows)):
            begin = self.rows[number]
            if begin >= area.end:
                return
            left, right = max(area.begin, begin), min(area.end, begin + self.row_size)
            if left < right:
                yield number, (left - begin) * scale, (right - left) * scale

    def path(self, areas: Sequence[PhysRange], smallest: float = 0.0, rise: int = 0) -> str:
        """Rectangles at least `smallest` wide; `rise` extends them beyond their row."""
        parts = []
        for area in areas:
            for row, left, width in self._pieces(area):
                wide = max(width, smallest)
                left = max(0.0, min(left - (wide - width) / 2, WIDTH - wide))
                top = row * ROW + (ROW - _BAR) / 2 - rise
                height = _BAR + 2 * rise
                parts.append(f"M{left:.1f} {top:g}h{wide:.1f}v{height}h-{wide:.1f}z")
        return "".join(parts)


def _areas(runs: Sequence[int], page: int) -> list[PhysRange]:
    """Areas of [first page, pages, ...]; adjacent ones are merged."""
    areas: list[PhysRange] = []
    for first, count in zip(runs[::2], runs[1::2]):
        if areas and areas[-1].end == first * page:
            areas[-1] = PhysRange(areas[-1].begin, areas[-1].size + count * page)
        else:
            areas.append(PhysRange(first * page, count * page))
    return areas


def draw_map(
    picture: Mapping[str, Any], colours: Mapping[str, str], conflicts: Sequence[int]
) -> MemoryMap:
    """`picture`: a journal record; `colours`: colour keys by owner; `conflicts`: addresses. Raises
    KeyError, TypeError, ValueError for a damaged record."""
    page = int(picture["page_size"])
    ranges = [PhysRange(first * page, count * page) for first, count in picture["ram"]]
    sheet = _Sheet(ranges)
    layers = [Layer("ram", "RAM", sheet.path(ranges), sum(r.size for r in ranges))]

    def add(key: str, name: str, areas: Sequence[PhysRange], size: int, least: float = 0.6) -> None:
        if areas:
            layers.append(Layer(key, name, sheet.path(areas, least), size))

    scratch = [PhysRange(begin, size) for begin, size in picture["scratch"]]
    add("scratch", "scratch", scratch, sum(area.size for area in scratch))
    used = picture["used"]
    add("used", "used by the kernel", _areas(used["runs"], page), used["pages"] * page)
    preserved = 0
    structure = []
    for owner in picture["owners"]:
        size = owner["pages"] * page
        preserved += size
        areas = _areas(owner["runs"], page)
        if owner["name"] in STRUCTURE:
            structure.append((owner["name"], areas, size))
        else:
            add(colours.get(owner["name"], "other"), owner["name"], areas, size, 1.2)
    nodes = picture["nodes"]
    add("node", "tracker", _areas(nodes["runs"], page), nodes["pages"] * page, _SMALLEST)
    for name, areas, size in structure:
        add("fragment", name, areas, size, _SMALLEST)
    for name, begin, size in picture["segments"]:
        area = PhysRange(begin, size)
        inside = any(s.contains(area.begin, area.size) for s in scratch)
        add("segment" if inside else "stray", f"segment {name}", [area], size, _SMALLEST)
    if conflicts:
        marks = [PhysRange(at, page) for at in conflicts]
        path = sheet.path(marks, _MARK, 2)
        layers.append(Layer("conflict", "conflict", path, len(marks) * page))
    taken = sum(area.size for area in scratch) + preserved + nodes["pages"] * page
    free = layers[0].size - taken - _outside(used["runs"], page, scratch)
    return MemoryMap(sheet.rows, sheet.row_size, layers, max(0, free), conflicts)


def colours_of(pictures: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Colour keys by owner, consistent over all pictures of a run, largest owners first."""
    sizes: dict[str, int] = {}
    for picture in pictures:
        for owner in picture["owners"]:
            name = str(owner["name"])
            if name not in STRUCTURE:
                sizes[name] = max(sizes.get(name, 0), int(owner["pages"]))
    ordered = sorted(sizes, key=lambda name: -sizes[name])
    return {name: f"o{i}" for i, name in enumerate(ordered[:_COLOURS])}


def _outside(runs: Sequence[int], page: int, scratch: Sequence[PhysRange]) -> int:
    """Bytes of runs outside scratch."""
    total = 0
    for area in _areas(runs, page):
        inside = sum(max(0, min(area.end, s.end) - max(area.begin, s.begin)) for s in scratch)
        total += area.size - inside
    return total
