# SPDX-License-Identifier: BSD-3-Clause
"""What two dumps differ in, and what of it must not be."""

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

_MOST_PAGES = 4096  # of those that must not change, whose bytes are looked at
_PAGE_SHIFT = 12  # where no handover tells another
# By these stops the next kernel has not yet taken the tree back.
_TREE_IS_KEPT = ("sealed", "entry")


class CannotCompare(Error):
    """The two have nothing to do with each other."""


@dataclass
class ClassChange:
    """What is different in pages of one class."""

    kind: PageClass
    frames: Int64Array  # changed
    total: int | None  # all pages of the class, where it is known
    rule: str  # the temporal rule that such a change breaks; "" where it may change

    @property
    def must_stay(self) -> bool:
        """Whether nobody may write to these pages between the two dumps."""
        return bool(self.rule)


@dataclass
class Difference:
    """Everything that is different. Empty (`same`) when nothing is."""

    a: Dump
    b: Dump
    classes: PageClasses
    page_shift: int
    by: str  # "a" or "b": whose handover the classes are of, "" when neither has one
    root: int | None  # of that handover
    other_root: int | None  # of the other dump's, when it is another handover
    pages: ChangedPages
    changes: Sequence[ClassChange]
    missing: Int64Array  # preserved pages that cannot be compared
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
        """Whether not a byte is different."""
        pages = self.pages
        alone = pages.only_a or pages.only_b or pages.unreadable
        return not (len(pages.frames) or alone or len(self.missing))

    @property
    def lost(self) -> Int64Array:
        """The pages that must not have changed, and did."""
        parts = [c.frames for c in self.changes if c.must_stay]
        found: Int64Array = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
        return found

    def runs(self, frames: Int64Array) -> list[ByteRun]:
        """The bytes that differ in some pages; of very many pages only the first."""
        shown = frames[:_MOST_PAGES].tolist()
        return list(byte_runs(self.a.memory, self.b.memory, shown, self.page_shift))

    def only(self, kinds: Sequence[PageClass]) -> Difference:
        """The difference in pages of some classes. RAM that only one of the dumps has is left out,
        but for preserved pages."""
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

    The pages' classes are those of the handover in `a`, or of that in `b` when `a` has none. While
    `b` still holds the same handover, preserved pages must be the same; so must the tree, until the
    next kernel has taken it back. Raises CannotCompare.
    """
    if a.arch and b.arch and a.arch != b.arch:
        raise CannotCompare(f"{a.path} is of {a.arch}, {b.path} of {b.arch}")
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
    """Which temporal rule holds for the pages of a class, by where `b` was taken."""
    at = b.run.at if b.run else ""
    if at in _TREE_IS_KEPT:
        return {
            PageClass.PRESERVED: PAGES_ACROSS_JUMP,
            PageClass.TRACKER: TRACKER_ACROSS_JUMP,
        }
    return {PageClass.PRESERVED: PAGES_UNTIL_RESTORED}


def _handover(a: Dump, b: Dump, notes: list[str]) -> tuple[Snapshot | None, str]:
    """The handover that decides, and whose it is."""
    for dump, name in ((a, "a"), (b, "b")):
        try:
            return find_snapshot(dump), name
        except NoHandover as error:
            notes.append(f"{name}: {error}")
    return None, ""


def _other_root(
    b: Dump, root: int, shift: int, pages: ChangedPages, notes: list[str]
) -> int | None:
    """The root of `b` when its handover is another than the one at `root`, else None."""
    if b.run and b.run.root is not None:
        return b.run.root if b.run.root != root else None
    at = int(np.searchsorted(pages.frames, root >> shift))
    if at == len(pages.frames) or pages.frames[at] != root >> shift:
        return None  # the page is as it was
    try:
        found = find_snapshot(b)
    except NoHandover as error:
        notes.append(f"b: {error}")
        return None
    roots = [candidate.address for candidate in found.candidates]
    return None if root in roots else found.handover.root.address


def ranges_text(ranges: Sequence[PhysRange]) -> str:
    """For people."""
    return " ".join(map(str, ranges))
