# SPDX-License-Identifier: BSD-3-Clause
"""What the memory that a finding is about has to do with the rest of the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Iterator, Sequence

from khorig.guest.facts import Segment
from khorig.kho.blocks import BlockIndex
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.reason import Reason
from khorig.rules.stop import Stop

_ADDRESS = re.compile(r"0x[0-9a-f]{16}")
_NEAR = 64 << 10  # bytes from a segment or a scratch area that still adjoin it
_KEPT = 3  # sealed handovers
_MOST = 6  # reasons


@dataclass(frozen=True, eq=False)
class _Sealed:
    """A handover, and the kernel that was loaded to take it."""

    generation: int
    snapshot: Snapshot
    segments: tuple[Segment, ...]
    blocks: BlockIndex


class Why:
    """Follows a run stop by stop, and says of a finding about memory which segment, block, scratch
    area, tracker node or owner its page belongs to or adjoins, in this generation and in those
    before."""

    def __init__(self) -> None:
        self._sealed: list[_Sealed] = []  # the newest last

    def explain(
        self, stop: Stop, snapshot: Snapshot | None, findings: Sequence[Finding]
    ) -> list[Finding]:
        """The findings of a stop with their reasons. `snapshot`: the handover of the stop."""
        if stop.at == "sealed" and snapshot is not None:
            segments = stop.facts.segments.items if stop.facts.segments else ()
            blocks = BlockIndex(snapshot.handover.blocks)
            self._sealed.append(_Sealed(stop.generation, snapshot, segments, blocks))
            del self._sealed[:-_KEPT]
        return [self._explained(stop, finding) for finding in findings]

    def _explained(self, stop: Stop, finding: Finding) -> Finding:
        if not self._sealed or finding.why or not _ADDRESS.fullmatch(finding.where):
            return finding
        last = self._sealed[-1]
        size = last.snapshot.geometry.page_size
        page = PhysRange(int(finding.where, 16) // size * size, size)
        if not any(ram.contains(page.begin, size) for ram in stop.memory.ranges):
            return finding  # a register of a device, or a virtual address
        reasons = [*_segments(last, page), *_block(last, page), *_scratch(last, page)]
        reasons += [*self._node(stop, page), *_neighbours(last, page), *self._earlier(page)]
        return replace(finding, why=tuple(reasons[:_MOST]))

    def _node(self, stop: Stop, page: PhysRange) -> Iterator[Reason]:
        """A node of the tracker, and what the running kernel's allocator makes of it."""
        last = self._sealed[-1]
        frame = page.begin >> last.snapshot.geometry.page_shift
        if frame in last.snapshot.node_frames:
            what = f"tracker node of generation {last.generation}, which nothing preserves"
            if state := _allocator(stop, frame):
                what += f"; for the allocator of generation {stop.generation}: {state}"
            yield _reason("node", what, page)
        elif not last.snapshot.describe(frame) and (state := _allocator(stop, frame)):
            what = f"for the allocator of generation {stop.generation}: {state}"
            yield _reason("allocator", what, page)

    def _earlier(self, page: PhysRange) -> Iterator[Reason]:
        """What an earlier generation had there, if the last one has something else."""
        last = self._sealed[-1]
        frame = page.begin >> last.snapshot.geometry.page_shift
        now = last.snapshot.describe(frame)
        for sealed in self._sealed[-2::-1]:
            then = sealed.snapshot.describe(frame)
            if then and then != now:
                what = f"{then} in the handover of generation {sealed.generation}"
                yield _reason("earlier", what, page)
            for number, segment in enumerate(sealed.segments):
                if segment.area.overlaps(page.begin, page.size):
                    what = f"generation {sealed.generation + 1} was loaded there"
                    what += f": segment {number} ({segment.name}) {segment.area}"
                    yield _reason("earlier", what, segment.area)


def _segments(sealed: _Sealed, page: PhysRange) -> Iterator[Reason]:
    """The segments of the next kernel that lie over a page, else those that adjoin it."""
    kernel = f"of the next kernel, generation {sealed.generation + 1},"
    near = []
    for number, segment in enumerate(sealed.segments):
        name = f"segment {number} ({segment.name}) {segment.area} {kernel}"
        if segment.area.overlaps(page.begin, page.size):
            owner = sealed.snapshot.describe(page.begin >> sealed.snapshot.geometry.page_shift)
            yield _reason("segment", f"{name} lies over {owner or 'this page'}", segment.area)
        elif (gap := _gap(segment.area, page)) is not None:
            near.append(_reason("segment", f"{name} {gap}", segment.area))
    yield from near


def _block(sealed: _Sealed, page: PhysRange) -> Iterator[Reason]:
    """The preserved block with a page."""
    shift = sealed.snapshot.geometry.page_shift
    found = sealed.blocks.find(page.begin >> shift)
    if found is None:
        return
    first, order = found
    area = PhysRange(first << shift, 1 << (shift + order))
    number = (page.begin - area.begin) >> shift
    what = (
        f"page {number} of {area}, which generation {sealed.generation} preserved as order {order}"
    )
    yield _reason("block", what, area)


def _scratch(sealed: _Sealed, page: PhysRange) -> Iterator[Reason]:
    """The scratch area with a page, or those that adjoin it."""
    for number, area in enumerate(sealed.snapshot.scratch or ()):
        name = f"scratch area {number} {area}"
        if area.overlaps(page.begin, page.size):
            what = f"inside of {name}, which the next kernel may overwrite"
            yield _reason("scratch", what, area)
        elif (gap := _gap(area, page)) is not None:
            yield _reason("scratch", f"{name} {gap}", area)


def _neighbours(sealed: _Sealed, page: PhysRange) -> Iterator[Reason]:
    """Owners of the pages beside a page that are others than its own."""
    snapshot = sealed.snapshot
    frame = page.begin >> snapshot.geometry.page_shift
    own = snapshot.owners.owner(frame)
    for beside, side in ((frame - 1, "before"), (frame + 1, "after")):
        owner = snapshot.owners.owner(beside)
        if owner and (owner != own or sealed.blocks.find(beside) != sealed.blocks.find(frame)):
            area = PhysRange(beside << snapshot.geometry.page_shift, page.size)
            yield _reason("owner", f"the page {side} belongs to {snapshot.describe(beside)}", area)


def _allocator(stop: Stop, frame: int) -> str:
    if stop.facts.memory is None:
        return ""
    try:
        return str(stop.frames.at(frame))
    except (DecodeError, LookupError, ValueError):
        return ""


def _gap(area: PhysRange, page: PhysRange) -> str | None:
    """How an area adjoins a page, None if it lies elsewhere."""
    if 0 <= page.begin - area.end < _NEAR:
        return _distance("ends", page.begin - area.end, "before it")
    if 0 <= area.begin - page.end < _NEAR:
        return _distance("begins", area.begin - page.end, "after it")
    return None


def _distance(verb: str, size: int, where: str) -> str:
    return f"{verb} {size:#x} bytes {where}" if size else f"{verb} right {where}"


def _reason(kind: str, what: str, area: PhysRange) -> Reason:
    return Reason(kind, what, area.begin, area.end)
