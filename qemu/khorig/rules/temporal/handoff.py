# SPDX-License-Identifier: BSD-3-Clause
"""Compares the next kernel's boot parameters with the sealed handover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.scratch import read_scratch
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange, read_bytes
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop, decoded
from khorig.rules.temporal.definitions import HANDOFF, SCRATCH_INHERITED
from khorig.rules.temporal.record import Record

HANDOFF_OWNER = "hand-off"  # fields of the boot parameters that point to the handover
ARRAY_OWNER = "scratch array"


@dataclass(frozen=True)
class HandoffBytes:
    """Bytes that point to a handover, as found at `entry`."""

    pieces: tuple[tuple[str, int, bytes], ...]  # owner, physical address, content

    def compare(self, stop: Stop) -> list[Finding]:
        """One finding per changed piece. Raises OutsideRam."""
        findings = []
        for owner, address, before in self.pieces:
            now = read_bytes(stop.memory, address, len(before))
            if now != before:
                what = f"{owner} changed: {before[:32].hex(' ')} at entry, now {now[:32].hex(' ')}"
                size = stop.geometry.page_size
                pages = range(address // size * size, address + len(before), size)
                changed = Changed.since(stop.generation, "entry", size, pages)
                finding = stop.finding(HANDOFF, what, address, owner, changed=changed)
                findings.append(finding)
        return findings


def read_handoff_bytes(stop: Stop) -> HandoffBytes | None:
    """None if the boot parameters point to no readable handover."""
    if stop.facts.parameters is None:
        return None
    try:
        handoff = find_handoff(stop.memory, stop.arch, stop.facts.parameters)
        if handoff is None:
            return None
        fields = (handoff.root, handoff.root_size, handoff.scratch, handoff.scratch_size)
        pieces = [(HANDOFF_OWNER, field.address, field.size) for field in fields]
        array = handoff.scratch_array
        pieces.append((ARRAY_OWNER, array.begin, array.size))
        return HandoffBytes(
            tuple((owner, at, read_bytes(stop.memory, at, size)) for owner, at, size in pieces)
        )
    except DecodeError:
        return None


def check_handoff(stop: Stop, before: Record) -> list[Finding]:
    """The boot parameters point to the sealed root and scratch areas."""
    return decoded(stop, HANDOFF, HANDOFF_OWNER, lambda: _check_handoff(stop, before))


def _check_handoff(stop: Stop, before: Record) -> list[Finding]:
    parameters = stop.facts.parameters
    if parameters is None:
        return stop.no_event(HANDOFF, "boot")
    handoff = find_handoff(stop.memory, stop.arch, parameters)
    if handoff is None:
        what = f"boot parameters at {parameters:#018x} have no handover"
        return [stop.finding(HANDOFF, what, parameters, HANDOFF_OWNER)]
    areas = read_scratch(stop.memory, handoff.scratch_array)
    return [*_compare_root(stop, before, handoff), *_compare_scratch(stop, before, handoff, areas)]


def _compare_root(stop: Stop, before: Record, handoff: Handoff) -> list[Finding]:
    root = before.snapshot.root
    if handoff.root.value == root:
        return []
    what = f"root {handoff.root.value:#018x} in the boot parameters, sealed {root:#018x}"
    return [stop.finding(HANDOFF, what, handoff.root.address, HANDOFF_OWNER)]


def _compare_scratch(
    stop: Stop, before: Record, handoff: Handoff, areas: Sequence[PhysRange]
) -> list[Finding]:
    sealed = before.snapshot.scratch or ()
    if tuple(areas) == tuple(sealed):
        return []
    what = f"scratch array has {_list(areas)}, sealed {_list(sealed)}"
    return [stop.finding(HANDOFF, what, handoff.scratch.value, ARRAY_OWNER)]


def check_scratch(stop: Stop, before: Record) -> list[Finding]:
    """The kernel uses the scratch areas passed to it."""
    if stop.facts.memory is None:
        return stop.no_event(SCRATCH_INHERITED, "memory")
    areas, sealed = stop.facts.memory.scratch, before.snapshot.scratch or ()
    if tuple(areas) == tuple(sealed):
        return []
    what = f"kernel uses scratch {_list(areas)}, handed over {_list(sealed)}"
    where = areas[0].begin if areas else None
    return [stop.finding(SCRATCH_INHERITED, what, where, "scratch")]


def _list(areas: Sequence[PhysRange]) -> str:
    return " ".join(map(str, areas)) or "none"
