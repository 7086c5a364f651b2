# SPDX-License-Identifier: BSD-3-Clause
"""What must hold when a generation has sealed its state."""

from __future__ import annotations

from typing import Callable, Mapping

import numpy as np

from khorig.kho.placement import check_placement
from khorig.kho.scratch import check_scratch
from khorig.mem.memory import PhysRange
from khorig.rules.allocator import compare_with_allocator
from khorig.rules.finding import Finding
from khorig.rules.ledger import check_ledger
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop

_OWNERS = "owners"
_MOST = 6  # findings of a kind


def check_structure(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Everything the decoder could not make sense of."""
    problems = (*sealed.handover.problems, *sealed.problems)
    findings = []
    for problem in problems[:_MOST]:
        frame = problem.address >> stop.geometry.page_shift
        is_root = problem.address == sealed.handover.root.address
        owner = sealed.owners.name(frame) or ("root" if is_root else "")
        findings.append(stop.finding_of("handover", problem, owner))
    return findings


def check_places(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Scratch is well-formed, and no block or node lies in it; no node lies in a block."""
    findings = [
        stop.finding_of("scratch", problem, "scratch")
        for problem in check_scratch(stop.memory, sealed.scratch, stop.geometry)
    ]
    for problem in check_placement(sealed.handover, sealed.scratch, stop.geometry):
        frame = problem.address >> stop.geometry.page_shift
        owner = sealed.node_name(frame, stop.geometry) or sealed.owners.name(frame)
        findings.append(stop.finding_of("scratch", problem, owner))
    return findings[:_MOST]


def check_segments(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The next kernel lies wholly inside scratch, in segments that do not overlap."""
    clause = "segments"
    segments = stop.facts.segments
    if segments is None:
        return [stop.finding(clause, "there was no 'segments' event before this stop")]
    findings = []
    for number, segment in enumerate(segments.items):
        area = segment.area
        if not any(s.contains(area.begin, area.size) for s in sealed.scratch):
            findings.append(_stray_segment(stop, sealed, segment.name, area))
        for other in segments.items[:number]:
            if area.overlaps(other.area.begin, other.area.size):
                what = f"'{other.name}' {other.area} and '{segment.name}' {area} overlap"
                findings.append(stop.finding(clause, what, area.begin))
    if not any(s.area.contains(segments.entry, 1) for s in segments.items):
        what = f"the entry {segments.entry:#018x} is in no segment"
        findings.append(stop.finding(clause, what, segments.entry))
    return findings


def _stray_segment(stop: Stop, sealed: SealedState, name: str, area: PhysRange) -> Finding:
    """A segment that is not in scratch; names the preserved page it would run over."""
    what = f"segment '{name}' {area} is not inside scratch"
    shift = stop.geometry.page_shift
    frames = sealed.owners.frames
    first = int(np.searchsorted(frames, area.begin >> shift))
    if first < len(frames) and int(frames[first]) << shift < area.end:
        frame = int(frames[first])
        what += f" and would run over the preserved page {frame << shift:#018x}"
        return stop.finding("segments", what, frame << shift, sealed.owners.name(frame))
    return stop.finding("segments", what, area.begin)


def check_counts(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The guest's own numbers are those of its memory."""
    tree = sealed.handover.tree
    counted = {
        "blocks": len(tree.blocks),
        "pages": sealed.handover.blocks.page_count,
        "nodes": len(tree.nodes),
    }
    return [
        stop.finding("counts", f"the guest says {said} {name}, memory has {counted[name]}")
        for name in counted
        if (said := stop.event.number(name)) != counted[name]
    ]


def check_owners(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Every preserved page has exactly one owner, and what an owner has is preserved."""
    findings = check_claims(stop, sealed)
    begins, ends = sealed.owners.unowned
    if len(begins):
        page = int(begins[0]) << stop.geometry.page_shift
        count = int((ends - begins).sum())
        what = f"page {page:#018x} is preserved, but has no owner ({count} such pages)"
        findings.append(stop.finding(_OWNERS, what, page, "nobody"))
    return findings


def check_claims(stop: Stop, sealed: SealedState) -> list[Finding]:
    """What an owner has is preserved, and nobody else's."""
    shift = stop.geometry.page_shift
    findings = []
    for clash in sealed.owners.clashes[:_MOST]:
        what = f"page {clash.frame << shift:#018x} belongs to {clash.first} and to {clash.second}"
        findings.append(stop.finding(_OWNERS, what, clash.frame << shift, clash.first))
    for stray in sealed.owners.strays[:_MOST]:
        what = f"page {stray.frame << shift:#018x} of {stray.owner} is not preserved"
        findings.append(stop.finding(_OWNERS, what, stray.frame << shift, stray.owner))
    return findings


def check_allocator(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Every preserved block, and every page of the tree, is an allocated block."""
    return compare_with_allocator(stop, sealed, "sealed frames")


def check_record(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The generation record counts the jumps: as many as there are generations so far."""
    metadata = sealed.clients.metadata
    if metadata is None:
        return [stop.finding("record", "there is no readable client 'kexec-metadata'")]
    if metadata.kexec_count != stop.generation:
        what = f"kexec_count is {metadata.kexec_count}, expected {stop.generation}"
        link = sealed.handover.blob("/kexec-metadata")
        address = link.blob.begin if link else None
        return [stop.finding("record", what, address, "kexec-metadata")]
    return []


# In the order of what is most likely the cause of the others.
SEALED_CLAUSES: Mapping[str, Callable[[Stop, SealedState], list[Finding]]] = {
    "handover": check_structure,
    "scratch": check_places,
    "segments": check_segments,
    "owners": check_owners,
    "counts": check_counts,
    "sealed frames": check_allocator,
    "ledger": check_ledger,
    "record": check_record,
}
