# SPDX-License-Identifier: BSD-3-Clause
"""One page: whose it is, what it holds, and what it should hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from khorig.kho.content import rig_content
from khorig.kho.frame_table import FrameByte
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError, Error
from khorig.mem.formats.dump import Dump
from khorig.mem.memory import PhysRange, range_at, read_bytes
from khorig.rules.check import check
from khorig.rules.outcome import Status
from khorig.rules.page_classes import PageClass, PageClasses

_SHIFT = 12  # of a page where no handover says it
_MOST = 1 << 64


class NoPage(Error):
    """An address without a page in the dump."""


@dataclass(frozen=True)
class Expected:
    """What a page should hold, or held before."""

    source: str  # "gen1.sealed.ram.zst", "content formula, seed 0x5eed0001"
    data: bytes
    owner: str = ""  # of the page there, where it is another image


@dataclass(frozen=True)
class Broken:
    """A rule that is violated at the page."""

    rule: str
    status: Status
    address: int
    text: str


@dataclass(frozen=True)
class PageView:
    """A page of a dump. Addresses are physical."""

    asked: int
    address: int  # of the page
    size: int  # bytes
    ram: PhysRange  # around it
    kind: PageClass
    owner: str  # "" without one
    block: tuple[int, int, int] | None  # preserved block: address, order, number of the page in it
    scratch: PhysRange | None  # area that it lies in
    allocator: FrameByte | None  # its entry in khorig's frame table
    broken: tuple[Broken, ...]  # static rules
    data: bytes | None  # None when the dump lacks it
    missing: str  # why
    expected: tuple[Expected, ...]


def view_page(
    dump: Dump, snapshot: Snapshot | None, asked: int, seed: int | None = None
) -> PageView:
    """The page with the byte at `asked`. `seed` is that of the run, where it is known. Without a
    handover the use of the page is unknown. Raises NoPage."""
    shift = snapshot.geometry.page_shift if snapshot else dump.page_shift or _SHIFT
    size = 1 << shift
    ranges = dump.memory.ranges
    if not 0 <= asked < _MOST:
        raise NoPage(f"{asked:#x} is no physical address")
    ram = range_at(ranges, asked)
    address = asked & -size
    if not ram.contains(asked, 1):
        near = [r for r in ranges if r.end <= asked][-1:] + [r for r in ranges if r.begin > asked][
            :1
        ]
        known = ", ".join(map(str, near)) or "none"
        raise NoPage(f"{asked:#018x} is not in RAM; the nearest RAM is {known}")
    if not ram.contains(address, size):
        raise NoPage(f"the page of {size:#x} bytes at {address:#018x} is not wholly in RAM {ram}")
    data, missing = None, ""
    try:
        data = read_bytes(dump.memory, address, size)
    except DecodeError as error:
        missing = error.problem.text
    frame = address >> shift
    expected: tuple[Expected, ...] = ()
    if snapshot is not None and (content := rig_content(snapshot, frame, seed)) is not None:
        expected = (Expected("the content formula", content, snapshot.describe(frame)),)
    return PageView(
        asked=asked,
        address=address,
        size=size,
        ram=ram,
        kind=_kind(snapshot, frame),
        owner=snapshot.describe(frame) if snapshot else "",
        block=_block(snapshot, frame),
        scratch=next(
            (a for a in (snapshot and snapshot.scratch) or () if a.contains(address, 1)), None
        ),
        allocator=_allocator(snapshot, frame),
        broken=tuple(_broken(snapshot, address, size)) if snapshot else (),
        data=data,
        missing=missing,
        expected=expected,
    )


def expected_by(dump: Dump, snapshot: Snapshot | None, view: PageView) -> Expected | None:
    """What the same page holds in another image of the machine; None when that lacks it."""
    try:
        data = read_bytes(dump.memory, view.address, view.size)
    except DecodeError:
        return None
    owner = ""
    if snapshot is not None:
        owner = snapshot.describe(view.address >> snapshot.geometry.page_shift)
    return Expected(dump.path.name, data, owner)


def _kind(snapshot: Snapshot | None, frame: int) -> PageClass:
    number = int(PageClasses(snapshot).of(np.array([frame], dtype=np.int64))[0])
    return list(PageClass)[number]


def _block(snapshot: Snapshot | None, frame: int) -> tuple[int, int, int] | None:
    found = snapshot.handover.index.find(frame) if snapshot else None
    if snapshot is None or found is None:
        return None
    first, order = found
    return first << snapshot.geometry.page_shift, order, frame - first


def _allocator(snapshot: Snapshot | None, frame: int) -> FrameByte | None:
    table = snapshot.frames if snapshot else None
    frames = np.array([frame], dtype=np.int64)
    if table is None or not table.covers(frames)[0]:
        return None
    return FrameByte(int(table.states(frames)[0]))


def _broken(snapshot: Snapshot, address: int, size: int) -> list[Broken]:
    page = PhysRange(address, size)
    return [
        Broken(outcome.rule.id, outcome.status, violation.address, violation.text)
        for outcome in check(snapshot)
        for violation in outcome.violations
        if page.contains(violation.address, 1)
    ]
