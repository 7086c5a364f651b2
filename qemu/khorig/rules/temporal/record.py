# SPDX-License-Identifier: BSD-3-Clause
"""Hashes and copies of memory taken at a stop; never views."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping

import numpy as np

from khorig.kho.blocks import Int64Array
from khorig.kho.clients.live_cpu import read_iterations
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.ownership import LIVE_OWNERS
from khorig.kho.snapshot import Snapshot
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import PhysicalMemory, read_bytes
from khorig.rules.temporal.keeping import Span
from khorig.rules.temporal.page_hashes import AllHashes, PageHashes, hash_all, hash_pages

_MAX_COPIES = 2048  # pages; structure is small, and its bytes are useful evidence


@dataclass(frozen=True, eq=False)
class Record:
    """A handover at one stop. `snapshot.memory` is live and changes later; the content at the stop
    is in `hashes`, `node_hashes` and `copies`."""

    generation: int
    at: str
    snapshot: Snapshot
    hashes: PageHashes  # of every preserved page that may not change
    node_hashes: PageHashes  # of the tracker's nodes, which are not preserved
    copies: Mapping[int, bytes]  # by frame: root, fragments and nodes
    live_page: bytes = b""  # content of the page that a live device writes, which has no hash
    iterations: int | None = None  # of a CPU that runs on, read last


def take_record(generation: int, at: str, snapshot: Snapshot) -> Record:
    """Hashes the whole handover. Raises OutsideRam."""
    memory, geometry, live = snapshot.memory, snapshot.geometry, snapshot.clients.live
    fragments = [f.address >> geometry.page_shift for f in snapshot.handover.fragments]
    structure = [*snapshot.node_frames.tolist(), *fragments]
    return Record(
        generation=generation,
        at=at,
        snapshot=snapshot,
        hashes=hash_pages(memory, _frames_at_rest(snapshot), geometry),
        node_hashes=hash_pages(memory, snapshot.node_frames, geometry),
        copies={
            frame: _page(memory, frame, geometry.page_shift) for frame in structure[:_MAX_COPIES]
        },
        live_page=read_bytes(memory, live.page.begin, live.page.size) if live else b"",
        iterations=read_iterations(memory, cpu) if (cpu := snapshot.clients.live_cpu) else None,
    )


def _frames_at_rest(snapshot: Snapshot) -> Int64Array:
    """The preserved pages but those that a live device or a live CPU writes."""
    frames, live = snapshot.owners.frames, snapshot.clients.live
    if snapshot.clients.live_cpu is not None:
        frames = np.setdiff1d(frames, snapshot.owners.pages_of(*LIVE_OWNERS))
    if live is None:
        return frames
    written = live.page.begin >> snapshot.geometry.page_shift
    rest: Int64Array = frames[frames != written]
    return rest


def _page(memory: PhysicalMemory, frame: int, shift: int) -> bytes:
    return read_bytes(memory, frame << shift, 1 << shift)


@dataclass(frozen=True, eq=False)
class FullRecord:
    """All of memory of a Linux about to jump, which does not report its handover."""

    generation: int
    at: str
    snapshot: Snapshot | None  # its handover, if a scan found one
    hashes: AllHashes  # of pages of the snapshot's size
    is_jump: bool = False  # taken at the jump itself: nothing is serialized after it

    @property
    def span(self) -> Span:
        """The interval to the next kernel's first instruction."""
        return Span.JUMP if self.is_jump else Span.LINUX_JUMP

    def taken_again(self, memory: DumpMemory) -> FullRecord:
        """The same record with current hashes."""
        again = take_full_record(self.generation, self.at, memory, self.snapshot)
        return replace(again, is_jump=self.is_jump)


def take_full_record(
    generation: int, at: str, memory: DumpMemory, snapshot: Snapshot | None
) -> FullRecord:
    """Hashes all of memory."""
    geometry = snapshot.geometry if snapshot else GEOMETRY_4K
    return FullRecord(generation, at, snapshot, hash_all(memory, geometry))
