# SPDX-License-Identifier: BSD-3-Clause
"""Location of every piece of a handover at each stop of a run."""

from __future__ import annotations

from typing import Iterator, Sequence

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.kho.blocks import Int64Array
from khorig.kho.snapshot import Snapshot
from khorig.run.judging import StopContext
from khorig.run.poke.place import Place
from khorig.run.stop_snapshot import snapshot_at
from khorig.run.tamper.handoff_source import find_handoff_source, find_scratch_source
from khorig.run.tamper.target import CannotTamper

HANDOFF = "hand-off"
SCRATCH_ARRAY = "scratch array"
RUNTIME_SERVICES = "firmware"
_PAGE = 4096  # bytes; UEFI's, on every architecture


class Sights:
    """Follows a run from stop to stop. A restored handover is no longer reachable from its root, so
    `restored` uses the places of the stop before."""

    def __init__(self) -> None:
        self._handed_over: tuple[Place, ...] = ()
        self._runtime: tuple[Place, ...] = ()

    def on_event(self, event: GuestEvent) -> None:
        """Records the regions of the UEFI runtime services."""
        if event.kind == "firmware" and not self._runtime:
            self._runtime = tuple(_runtime_services(event))

    def at(self, context: StopContext) -> Sequence[Place]:
        """Every owned page at this stop; none if the handover is unreadable."""
        is_first = context.generation == 1
        if context.at == "restored" and not is_first:
            return (*self._handed_over, *self._runtime)
        if context.at == "entry" and is_first:
            return self._runtime
        snapshot = snapshot_at(context, context.page_shift)
        if snapshot is None:
            return self._runtime
        self._handed_over = tuple(_pages(snapshot, snapshot.owners.frames))
        nodes = _pages(snapshot, snapshot.node_frames)
        return (*self._handed_over, *nodes, *_ways_to(snapshot, context), *self._runtime)


def _pages(snapshot: Snapshot, frames: Int64Array) -> Iterator[Place]:
    geometry = snapshot.geometry
    for frame in frames.tolist():
        yield Place(snapshot.describe(frame), frame << geometry.page_shift, geometry.page_size)


def _ways_to(snapshot: Snapshot, context: StopContext) -> Iterator[Place]:
    """The fields that point the next kernel to root and scratch. Before the jump they are found by
    the root address in them."""
    handoff = snapshot.handoff
    try:
        if context.at == "sealed":
            handoff = find_handoff_source(snapshot.memory, context.machine.arch, snapshot.root)
        if handoff is None:
            return
        yield Place(HANDOFF, handoff.root.address, handoff.root.size)
        begin = handoff.scratch.value
        if context.at == "sealed":
            begin, _ = find_scratch_source(snapshot.memory, handoff)
        yield Place(SCRATCH_ARRAY, begin, handoff.scratch_size.value)
    except CannotTamper:
        return


def _runtime_services(event: GuestEvent) -> Iterator[Place]:
    regions = event.fields.get("runtime")
    if not isinstance(regions, list):
        return
    for region in regions:
        try:
            begin, size = (parse_address(value, "a region of the firmware") for value in region)
        except (EventFieldError, TypeError, ValueError):
            continue
        for page in range(begin, begin + size, _PAGE):
            yield Place(RUNTIME_SERVICES, page, _PAGE)
