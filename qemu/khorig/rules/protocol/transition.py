# SPDX-License-Identifier: BSD-3-Clause
"""The page tables that the copy of the next kernel runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from khorig.guest.facts import Segments, TableFacts, parse_tables
from khorig.mem.memory import OutsideRam, PhysRange
from khorig.mem.page_tables import FORMATS, PageTables, Translation
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import TRANSITION
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

_MOST_LEVELS = 5
_RIGHTS = {"r": "readable", "w": "writable", "x": "executable"}


def check_transition(stop: Stop, sealed: Record) -> list[Finding]:
    """Whatever the copy uses is mapped 1:1 with the rights that it needs, by entries that any
    kernel understands, and is not overwritten. Raises EventFieldError."""
    segments, facts = stop.facts.segments, parse_tables(stop.event)
    if segments is None:
        return stop.no_event(TRANSITION, "segments")
    form = FORMATS.get(facts.format)
    if form is None or form.arch != stop.arch or not 0 < facts.levels <= _MOST_LEVELS:
        what = f"page tables of format {facts.format!r}, {facts.levels} levels"
        return [stop.finding(TRANSITION, what, facts.root)]
    shift = stop.geometry.page_shift
    tables = PageTables(stop.memory, form, shift, facts.root, facts.levels)
    try:
        return [
            *_mapped(stop, tables, facts, segments),
            *_overwritten(stop, tables, facts, segments),
            *_own_bits(stop, tables),
        ]
    except OutsideRam as error:
        return [stop.finding(TRANSITION, f"page table: {error}", error.problem.address)]


@dataclass(frozen=True)
class _Use:
    name: str
    area: PhysRange
    rights: str


def _kept(tables: PageTables, facts: TableFacts) -> Iterator[_Use]:
    """What the copy reads and runs, which it must not overwrite."""
    for page in facts.pages:
        yield _Use(page.name, PhysRange(page.address, 1 << tables.page_shift), page.rights)
    for source in facts.sources:
        yield _Use(f"source of '{source.name}'", source.area, "r")


def _uses(tables: PageTables, facts: TableFacts, segments: Segments) -> Iterator[_Use]:
    """Everything that is accessed through the tables."""
    yield from _kept(tables, facts)
    started_on = tables.format.is_handed_on
    for segment in segments.items:
        entered = started_on and segment.area.contains(segments.entry, 1)
        yield _Use(f"destination of '{segment.name}'", segment.area, "rwx" if entered else "rw")
    if started_on:
        yield _Use("topmost page table", PhysRange(tables.root, 1 << tables.page_shift), "r")


def _mapped(
    stop: Stop, tables: PageTables, facts: TableFacts, segments: Segments
) -> Iterator[Finding]:
    for use in _uses(tables, facts, segments):
        at = use.area.begin
        while at < use.area.end:
            found = tables.translate(at)
            wrong = _wrong(found, at, use.rights)
            if wrong:
                what = f"{use.name} {use.area} is {wrong}: {found.text}"
                yield stop.finding(TRANSITION, what, at, use.name)
                break
            at = found.begin + found.size


def _wrong(found: Translation, address: int, rights: str) -> str:
    if found.physical is None:
        return f"not mapped from {address:#x} on"
    if found.physical != found.begin:
        return f"mapped to {found.physical + address - found.begin:#x} at {address:#x}, not 1:1"
    missing = [
        name for right, name in _RIGHTS.items() if right in rights and right not in found.rights
    ]
    return f"not {' and '.join(missing)} at {address:#x}" if missing else ""


def _overwritten(
    stop: Stop, tables: PageTables, facts: TableFacts, segments: Segments
) -> Iterator[Finding]:
    """The copy would write over what it still needs."""
    used = [(use.name, use.area) for use in _kept(tables, facts)]
    size = 1 << tables.page_shift
    used += [(f"page table of level {n}", PhysRange(at, size)) for at, n, _ in tables.tables()]
    for name, area in used:
        for segment in segments.items:
            if segment.area.overlaps(area.begin, area.size):
                what = f"{name} {area} lies in the destination of '{segment.name}' {segment.area}"
                yield stop.finding(TRANSITION, what, area.begin, name)


def _own_bits(stop: Stop, tables: PageTables) -> Iterator[Finding]:
    found = list(tables.own_bits())
    if not found:
        return
    at, level, entry = found[0]
    bits = entry & tables.format.software
    names = ", ".join(str(bit) for bit in range(64) if bits >> bit & 1)
    what = (
        f"entry {entry:#018x} of level {level} has bits that only the kernel which wrote it "
        f"understands: {names}"
    )
    more = (f"{len(found) - 1} more entries",) if len(found) > 1 else ()
    yield stop.finding(TRANSITION, what, at, f"page table of level {level}", more)
