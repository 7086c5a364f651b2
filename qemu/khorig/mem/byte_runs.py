# SPDX-License-Identifier: BSD-3-Clause
"""Which bytes of changed pages differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator

import numpy as np

from khorig.mem.errors import DecodeError
from khorig.mem.formats import DumpMemory
from khorig.mem.memory import PhysRange, read_bytes

_GAP = 8  # equal bytes, at most, inside a run
_LINE = 16


@dataclass(frozen=True)
class ByteRun:
    """A stretch of memory that differs."""

    area: PhysRange
    changed: int  # bytes in it; others are the same by chance


def byte_runs(
    a: DumpMemory, b: DumpMemory, frames: Iterable[int], page_shift: int
) -> Iterator[ByteRun]:
    """The runs in some pages, ascending; those that touch at a page's end are one."""
    last: ByteRun | None = None
    for frame in frames:
        for run in _in_page(a, b, frame << page_shift, 1 << page_shift):
            if last and run.area.begin - last.area.end <= _GAP:
                begin = last.area.begin
                area = PhysRange(begin, run.area.end - begin)
                last = ByteRun(area, last.changed + run.changed)
                continue
            if last:
                yield last
            last = run
    if last:
        yield last


def _in_page(a: DumpMemory, b: DumpMemory, begin: int, size: int) -> Iterator[ByteRun]:
    try:
        mine, theirs = read_bytes(a, begin, size), read_bytes(b, begin, size)
    except DecodeError:  # the page is there but not whole
        return
    places = np.flatnonzero(np.frombuffer(mine, np.uint8) != np.frombuffer(theirs, np.uint8))
    if not len(places):
        return
    cuts = np.flatnonzero(np.diff(places) > _GAP + 1) + 1
    for part in np.split(places, cuts):
        first, end = int(part[0]), int(part[-1]) + 1
        yield ByteRun(PhysRange(begin + first, end - first), len(part))


def hexdump(a: DumpMemory, b: DumpMemory, run: ByteRun, lines: int) -> list[str]:
    """The first `lines` lines of a run, as it is in `a` and, below, in `b`; there a byte that is
    the same is two dots."""
    first = run.area.begin & -_LINE
    end = min(-(-run.area.end // _LINE) * _LINE, first + lines * _LINE)
    text = []
    for at in range(first, end, _LINE):
        mine, theirs = read_bytes(a, at, _LINE), read_bytes(b, at, _LINE)
        if mine == theirs:
            continue
        other = [f"{y:02x}" if x != y else ".." for x, y in zip(mine, theirs)]
        text.append(f"{at:#018x}  a  {_columns([f'{x:02x}' for x in mine])}  |{_printable(mine)}|")
        text.append(f"{'':18}  b  {_columns(other)}  |{_printable(theirs)}|")
    return text


def _columns(words: list[str]) -> str:
    return " ".join(words[:8]) + "  " + " ".join(words[8:])


def _printable(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def describe(memory: DumpMemory, run: ByteRun) -> str:
    """What a run is full of, where one word tells."""
    data = read_bytes(memory, run.area.begin, min(run.area.size, 1 << 16))
    if data.count(data[0]) == len(data) and len(data) > 1:
        return f"all {data[0]:#04x}"
    return ""
