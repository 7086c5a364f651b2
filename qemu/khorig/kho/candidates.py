# SPDX-License-Identifier: BSD-3-Clause
"""Tells the handover that counts from those that earlier kernels left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Sequence

from khorig.kho.anchors import Anchor, Findings
from khorig.kho.clients.khorig import METADATA_PATH, decode_metadata
from khorig.kho.codecs import CODECS
from khorig.kho.handover import Handover, decode_handover
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.formats.dump import PAGE_SHIFTS
from khorig.mem.memory import PhysicalMemory

_MAX_DECODED = 16


@dataclass(frozen=True, eq=False)
class Candidate:
    """Something that may be the root of the handover."""

    address: int
    how: tuple[str, ...]  # who names it: "the run that wrote the image", "setup_data at 0x..."
    geometry: Geometry
    handover: Handover | None
    error: Problem | None  # why there is no handover
    generation: int | None  # how many jumps its generation record counts
    anchor: Anchor | None = None  # the hand-off that names it

    @property
    def holds_itself(self) -> bool:
        """Whether its own tracker has its page: one whose memory was taken back does not hold
        together any more."""
        if self.handover is None:
            return False
        return self.handover.index.find(self.address >> self.geometry.page_shift) is not None

    @property
    def state(self) -> str:
        """For people."""
        if self.error is not None:
            return f"cannot be read: {self.error.id}"
        if self.holds_itself:
            return "whole"
        return "stale: root page no longer in its own tracker"

    @property
    def weight(self) -> tuple[int, ...]:
        """The larger, the more likely it is the one that counts."""
        if self.handover is None:
            return (0, 0, 0, 0, -1, 0)
        return (
            1,
            int(self.holds_itself),
            int(self.generation is not None),
            -min(len(self.handover.problems), 1),
            self.generation if self.generation is not None else -1,
            len(self.how),
        )


def find_candidates(
    memory: PhysicalMemory,
    named: Iterable[tuple[int, str]],
    found: Findings,
    page_shift: int | None,
) -> list[Candidate]:
    """Every root that somebody names (`named`: address and who does) or that was found, the most
    likely first."""
    places: dict[int, list[str]] = {}
    anchors: dict[int, Anchor] = {}
    for address, how in named:
        places.setdefault(address, []).append(how)
    for anchor in found.anchors:
        root = anchor.handoff.root.value
        places.setdefault(root, []).append(anchor.how)
        anchors.setdefault(root, anchor)
    for address in found.roots:
        places.setdefault(address, []).append("a scan of page starts")
    candidates = [
        read_candidate(memory, address, tuple(how), page_shift, anchors.get(address))
        for address, how in list(places.items())[:_MAX_DECODED]
    ]
    return sorted(candidates, key=lambda c: c.weight, reverse=True)


def read_candidate(
    memory: PhysicalMemory,
    address: int,
    how: Sequence[str],
    page_shift: int | None,
    anchor: Anchor | None = None,
) -> Candidate:
    """Reads a root. Nothing in it says how large pages are: without `page_shift` the size is taken
    with which it holds together best."""
    best: Candidate | None = None
    for shift in (page_shift,) if page_shift else PAGE_SHIFTS:
        read = _read(memory, address, tuple(how), Geometry(shift), anchor)
        if best is None or _fit(read) > _fit(best):
            best = read
        if best.holds_itself and best.handover and not best.handover.problems:
            break
    assert best is not None
    return best


def _fit(candidate: Candidate) -> tuple[int, int, int]:
    handover = candidate.handover
    if handover is None:
        return (0, 0, 0)
    return (1, int(candidate.holds_itself), -len(handover.problems))


def _read(
    memory: PhysicalMemory,
    address: int,
    how: tuple[str, ...],
    geometry: Geometry,
    anchor: Anchor | None,
) -> Candidate:
    try:
        handover = decode_handover(memory, address, geometry, CODECS, lenient=True)
    except DecodeError as error:
        return Candidate(address, how, geometry, None, error.problem, None, anchor)
    generation = None
    try:
        if link := handover.blob(METADATA_PATH):
            generation = decode_metadata(memory, link.blob).kexec_count
    except DecodeError:
        pass  # reported when the clients are read
    return Candidate(address, how, geometry, handover, None, generation, anchor)
