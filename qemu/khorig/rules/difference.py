# SPDX-License-Identifier: BSD-3-Clause
"""Comparison of two dumps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

import numpy as np

from khorig.kho.blocks import Int64Array
from khorig.kho.snapshot import NoHandover, Snapshot, find_snapshot
from khorig.mem.byte_runs import ByteRun, byte_runs
from khorig.mem.changed_pages import ChangedPages, find_changed
from khorig.mem.errors import Error
from khorig.mem.formats import Dump
from khorig.mem.memory import PhysRange
from khorig.rules.page_classes import PageClass, PageClasses
from khorig.rules.temporal.definitions import (
    PAGES_ACROSS_JUMP,
    PAGES_UNTIL_RESTORED,
    TRACKER_ACROSS_JUMP,
)

_MOST_PAGES = 4096  # lost pages compared byte by byte
_PAGE_SHIFT = 12  # default without a handover
# Until these stops the next kernel has not restored the tree.
_TREE_IS_KEPT = ("sealed", "entry")


class CannotCompare(Error):
    """The dumps are unrelated."""


@dataclass
class ClassChange:
    """Changed pages of one class."""

    kind: PageClass
    frames: Int64Array  # changed
    total: int | None  # all pages of the class, None if unknown
    rule: str  # temporal rule violated by a change; "" if it may change

    @property
    def must_stay(self) -> bool:
        """Whether these pages must not change between the two dumps."""
        return bool(self.rule)


@dataclass
class Difference:
    """All differences between two dumps; none if `same`."""

    a: Dump
    b: Dump
    classes: PageClasses
    page_shift: int
    by: str  # "a" or "b": dump whose handover defines the classes; "" without one
    root: int | None  # of that handover
    other_root: int | None  # root of the other dump, if it has another handover
    pages: ChangedPages
    changes: Sequence[ClassChange]
    missing: Int64Array  # preserved pages absent from a dump
    notes: Sequence[str] = field(default_factory=list)

    def __repr__(self) -> str:
        changed = ", ".join(
            f"{len(c.frames)} {c.kind.value}{' (LOST)' if c.must_stay and len(c.frames) else ''}"
            for c in self.changes
            if len(c.frames)
        )
        return f"<{self.a.path.name} to {self.b.path.name}: pages changed: {changed or 'none'}>"

    @property
    def same(self) -> bool:
        """Whether the dumps are identical."""
        pages = self.pages
        alone = pages.only_a or pages.only_b or pages.unreadable
        return not (len(pages.frames) or alone or len(self.missing))

    @property
    def lost(self) -> Int64Array:
        """Changed pages that must not change, ascending."""
        parts = [c.frames for c in self.changes if c.must_stay]
        found: Int64Array = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
        return found

    def runs(self, frames: Int64Array) -> list[ByteRun]:
        """Differing byte ranges in `frames`, of at most the first 4096 pages."""
        shown = frames[:_MOST_PAGES].tolist()
        return list(byte_runs(self.a.memory, self.b.memory, shown, self.page_shift))

    def only(self, kinds: Sequence[PageClass]) -> Difference:
        """The difference restricted to some classes. RAM present in one dump only is omitted,
        except preserved pages."""
        changes = [c for c in self.changes if c.kind in kinds]
        frames = np.sort(
            np.concatenate([np.empty(0, dtype=np.int64), *(c.frames for c in changes)])
        )
        missing = self.missing[: None if PageClass.PRESERVED in kinds else 0]
        pages = ChangedPages(frames, (), (), (), self.pages.compared)
        return Difference(
            self.a, self.b, self.classes, self.page_shift, self.by, self.root, self.other_root,
            pages, changes, missing, self.notes,
        )  # fmt: skip


def compare_dumps(a: Dump, b: Dump, of_a: Snapshot | None = None) -> Difference:
    """Compares two dumps page by page. Both stay open as long as the result is used. `of_a` is the
    handover in `a` where it is decoded already.

    Page classes come from the handover in `a`, or in `b` if `a` has none. While `b` has the same
    handover, preserved pages must not change, nor the tree until the next kernel has restored it.
    Raises CannotCompare.
    """
    if a.arch and b.arch and a.arch != b.arch:
        raise CannotCompare(f"different architectures: {a.path} is {a.arch}, {b.path} is {b.arch}")
    if not any(
        r.overlaps(other.begin, other.size) for r in a.memory.ranges for other in b.memory.ranges
    ):
        raise CannotCompare(f"{a.path} and {b.path} have no memory in common")
    notes: list[str] = []
    snapshot, by = (of_a, "a") if of_a else _handover(a, b, notes)
    shift = snapshot.geometry.page_shift if snapshot else a.page_shift or _PAGE_SHIFT
    pages = find_changed(a.memory, b.memory, 1 << shift)
    classes = PageClasses(snapshot)
    root = snapshot.handover.root.address if snapshot else None
    other_root = None
    if by == "a" and root is not None:
        other_root = _other_root(b, root, shift, pages, notes)
    handed = by == "a" and other_root is None
    rules = _rules(b) if handed else {}
    changes = [
        ClassChange(kind, frames, classes.total(kind), rules.get(kind, ""))
        for kind, frames in classes.split(pages.frames).items()
    ]
    absent = [*pages.only_a, *pages.unreadable] if handed else []
    missing = classes.preserved_in(absent)
    return Difference(a, b, classes, shift, by, root, other_root, pages, changes, missing, notes)


def _rules(b: Dump) -> Mapping[PageClass, str]:
    """The temporal rule for each class of pages, by the stop of `b`."""
    at = b.run.at if b.run else ""
    if at in _TREE_IS_KEPT:
        return {
            PageClass.PRESERVED: PAGES_ACROSS_JUMP,
            PageClass.TRACKER: TRACKER_ACROSS_JUMP,
        }
    return {PageClass.PRESERVED: PAGES_UNTIL_RESTORED}


def _handover(a: Dump, b: Dump, notes: list[str]) -> tuple[Snapshot | None, str]:
    """The handover that defines the classes, and its dump ("a" or "b")."""
    for dump, name in ((a, "a"), (b, "b")):
        try:
            return find_snapshot(dump), name
        except NoHandover as error:
            notes.append(f"{name}: {error}")
    return None, ""


def _other_root(
    b: Dump, root: int, shift: int, pages: ChangedPages, notes: list[str]
) -> int | None:
    """The root of `b` if its handover is not the one at `root`, else None."""
    if b.run and b.run.root is not None:
        return b.run.root if b.run.root != root else None
    at = int(np.searchsorted(pages.frames, root >> shift))
    if at == len(pages.frames) or pages.frames[at] != root >> shift:
        return None  # root page unchanged
    try:
        found = find_snapshot(b)
    except NoHandover as error:
        notes.append(f"b: {error}")
        return None
    roots = [candidate.address for candidate in found.candidates]
    return None if root in roots else found.handover.root.address


def ranges_text(ranges: Sequence[PhysRange]) -> str:
    """Ranges as text, separated by spaces."""
    return " ".join(map(str, ranges))
