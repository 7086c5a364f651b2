# SPDX-License-Identifier: BSD-3-Clause
"""Compares pages with an earlier stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import read_bytes
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop
from khorig.rules.temporal.byte_differences import describe_change
from khorig.rules.temporal.page_hashes import PageHashes, are_unchanged, hash_pages
from khorig.rules.temporal.record import Record

_OTHERS = 6  # further pages named


@dataclass(frozen=True, eq=False)
class Before:
    """Pages at an earlier stop."""

    generation: int
    at: str
    hashes: PageHashes
    snapshot: Snapshot  # for the owners
    copies: Mapping[int, bytes] = field(default_factory=dict)  # of some pages, by frame

    @staticmethod
    def of(record: Record, hashes: PageHashes | None = None) -> Before:
        """The preserved pages of a record, or those of `hashes`."""
        chosen = record.hashes if hashes is None else hashes
        return Before(record.generation, record.at, chosen, record.snapshot, record.copies)


def compare_pages(stop: Stop, before: Before, rule: str) -> list[Finding]:
    """One finding if pages changed: the lowest page, its owner, both hashes, its bytes, and the
    other pages. Raises OutsideRam."""
    hashes = before.hashes
    geometry = before.snapshot.geometry
    if are_unchanged(stop.memory, hashes, geometry):
        return []
    now = hash_pages(stop.memory, hashes.frames, geometry)
    changed = hashes.differing(now).tolist()
    if not changed:  # they differed a moment ago
        return [stop.finding(rule, "preserved memory is being written while the guest is stopped")]
    frame = changed[0]
    address = frame << geometry.page_shift
    when = f"at {stop.at}" if stop.at else "when the guest reported an error"
    what = (
        f"page {address:#018x} changed: hash {hashes.of(frame):#018x} at {before.at} in generation "
        f"{before.generation}, {now.of(frame):#018x} {when} in generation {stop.generation}"
    )
    content = read_bytes(stop.memory, address, geometry.page_size)
    copy = before.copies.get(frame)
    evidence = list(describe_change(address, copy, content, hashes.of(frame)))
    if len(changed) > 1:
        noun = "page" if len(changed) == 2 else "pages"
        evidence.append(f"{len(changed) - 1} more changed {noun}:")
        evidence += [
            f"  {other << geometry.page_shift:#018x} {before.snapshot.describe(other)}"
            for other in changed[1 : 1 + _OTHERS]
        ]
    owner = before.snapshot.describe(frame)
    pages = (other << geometry.page_shift for other in changed)
    locate = before.snapshot.locate
    since = Changed.since(before.generation, before.at, geometry.page_size, pages, locate)
    return [stop.finding(rule, what, address, owner, tuple(evidence), since)]
