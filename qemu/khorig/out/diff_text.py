# SPDX-License-Identifier: BSD-3-Clause
"""A difference as text."""

from __future__ import annotations

from typing import Iterator

from khorig.mem.byte_runs import ByteRun, describe, hexdump
from khorig.mem.formats import Dump
from khorig.out.text import relative, size
from khorig.rules.difference import ClassChange, Difference, ranges_text
from khorig.rules.page_classes import PageClass, area_of

_DUMP_LINES = 4  # of 16 bytes, of each run
_OWNERS = 8


def difference_lines(difference: Difference, runs: int) -> Iterator[str]:
    """All lines, the verdict first; `runs` limits the byte ranges shown."""
    yield _verdict(difference)
    yield _dump_line("a", difference.a)
    yield _dump_line("b", difference.b)
    yield from _handover_lines(difference)
    if difference.same:
        return
    yield ""
    yield " class          pages    changed"
    for change in difference.changes:
        yield _class_line(change)
    pages = difference.pages
    for name, ranges in (
        ("only in a", pages.only_a),
        ("only in b", pages.only_b),
        ("unreadable", pages.unreadable),
    ):
        if ranges:
            yield f" {name:<10} {size(sum(r.size for r in ranges))}: {ranges_text(ranges[:4])}"
    yield from _lost_lines(difference, runs)


def _verdict(difference: Difference) -> str:
    if difference.same:
        return "identical"
    lost, missing = difference.lost, difference.missing
    if len(lost) and len(missing):
        return (
            f"LOST  {_broken(difference)}: {_count(len(lost), 'page')} changed that must not, "
            f"{len(missing)} more cannot be compared"
        )
    if len(missing):
        return f"different: {_count(len(missing), 'page')} that must not change cannot be compared"
    if len(lost):
        return f"LOST  {_broken(difference)}: {_count(len(lost), 'page')} changed that must not"
    if any(change.must_stay for change in difference.changes):
        return "different, all changes allowed"
    return "different"


def _broken(difference: Difference) -> str:
    """The violated rules."""
    return ", ".join(c.rule for c in difference.changes if c.rule and len(c.frames))


def _dump_line(name: str, dump: Dump) -> str:
    words = [f" {name}  {relative(dump.path)}", dump.format]
    words += [" ".join(part for part in (dump.arch, dump.machine) if part)]
    if dump.run:
        words.append(f"generation {dump.run.generation} at {dump.run.at}")
    elif dump.release:
        words.append(dump.release)
    return "  ".join(word for word in words if word)


def _handover_lines(difference: Difference) -> Iterator[str]:
    if difference.root is None:
        yield " no handover in either: no page is known to be preserved"
    elif difference.other_root is not None:
        yield (
            f" handover at {difference.root:#x} in a, another at {difference.other_root:#x} in b: "
            "preserved pages may have changed"
        )
    elif difference.by == "b":
        yield f" handover at {difference.root:#x} in b, none in a: every page may change"
    elif difference.root >> difference.page_shift in difference.missing:
        yield f" handover at {difference.root:#x} in a; page missing in b"
    else:
        yield f" handover at {difference.root:#x}, the same in both"
    for note in difference.notes:
        yield f" note  {note}"


def _class_line(change: ClassChange) -> str:
    total = "" if change.total is None else str(change.total)
    line = f" {change.kind.value:<10} {total:>9}  {len(change.frames):>9}"
    if change.must_stay:
        return line + (
            "   must not change: CHANGED" if len(change.frames) else "   must not change"
        )
    return line + ("   may change" if len(change.frames) else "")


def _lost_lines(difference: Difference, runs: int) -> Iterator[str]:
    """The lost pages; if no class must stay, preserved or all changed pages."""
    frames = difference.lost
    preserved = next(
        (c.frames for c in difference.changes if c.kind is PageClass.PRESERVED), frames
    )
    if not any(change.must_stay for change in difference.changes):
        frames = preserved if len(preserved) else difference.pages.frames
    if not len(frames):
        return
    groups = difference.classes.groups(preserved)
    if groups:
        yield ""
        yield " changed pages by owner"
        for name, count in list(groups.items())[:_OWNERS]:
            yield f" {count:>9}  {name}"
        if len(groups) > _OWNERS:
            yield f"            and {len(groups) - _OWNERS} more owners"
    found = difference.runs(frames)
    areas = area_of(frames, difference.page_shift)
    yield ""
    yield (
        f" {_count(len(frames), 'page')} in {_count(len(areas), 'range')}; "
        f"{_count(sum(run.changed for run in found), 'byte')} in {_count(len(found), 'run')}"
    )
    for run in found[:runs]:
        yield from _run_lines(difference, run)
    if len(found) > runs:
        yield f"   and {len(found) - runs} more runs; --runs N shows more"


def _run_lines(difference: Difference, run: ByteRun) -> Iterator[str]:
    owner = difference.classes.owner(run.area.begin >> difference.page_shift)
    now = describe(difference.b.memory, run)
    words = [f"{run.area.begin:#018x}", _count(run.area.size, "byte"), owner]
    words.append(f"{now} in b" if now else "")
    yield ""
    yield "   " + "  ".join(word for word in words if word)
    for line in hexdump(difference.a.memory, difference.b.memory, run, _DUMP_LINES):
        yield f"     {line}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
