# SPDX-License-Identifier: BSD-3-Clause
"""Placement of the next kernel."""

from __future__ import annotations

import numpy as np

from khorig.guest.facts import Segment, Segments
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import SEGMENTS
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

# Offset of the 64-bit entry of a bzImage and of the entry of an Image.
_ENTRY = {"x86_64": 0x200, "arm64": 0}


def check_segments(stop: Stop, sealed: Record) -> list[Finding]:
    """Every segment is inside scratch, none overlap, and the entry point is in one of them: of the
    kernel, its own."""
    segments = stop.facts.segments
    if segments is None:
        return stop.no_event(SEGMENTS, "segments")
    findings = []
    for number, segment in enumerate(segments.items):
        area = segment.area
        if not any(s.contains(area.begin, area.size) for s in sealed.snapshot.scratch or ()):
            findings.append(_stray(stop, sealed, segment))
        for other in segments.items[:number]:
            if area.overlaps(other.area.begin, other.area.size):
                what = f"'{other.name}' {other.area} and '{segment.name}' {area} overlap"
                findings.append(stop.finding(SEGMENTS, what, area.begin))
    if not any(s.area.contains(segments.entry, 1) for s in segments.items):
        what = f"entry point {segments.entry:#018x} is outside all segments"
        findings.append(stop.finding(SEGMENTS, what, segments.entry))
    return findings + _entry(stop, segments)


def _entry(stop: Stop, segments: Segments) -> list[Finding]:
    """The image is entered where its boot protocol says."""
    kernel = next((s.area for s in segments.items if s.name == "kernel"), None)
    expected = _ENTRY.get(stop.arch)
    if kernel is None or expected is None or not kernel.contains(segments.entry, 1):
        return []
    if segments.entry == kernel.begin + expected:
        return []
    what = f"entry point {segments.entry:#018x}, expected {kernel.begin + expected:#018x}"
    return [stop.finding(SEGMENTS, what, segments.entry)]


def _stray(stop: Stop, sealed: Record, segment: Segment) -> Finding:
    """A segment outside scratch; names the preserved page it would overwrite."""
    area, shift = segment.area, stop.geometry.page_shift
    what = f"segment '{segment.name}' {area} is outside scratch"
    owners = sealed.snapshot.owners
    at = int(np.searchsorted(owners.ends, area.begin >> shift, side="right"))
    if at < len(owners.begins) and int(owners.begins[at]) << shift < area.end:
        frame = max(int(owners.begins[at]), area.begin >> shift)
        what += f" and would overwrite preserved page {frame << shift:#018x}"
        return stop.finding(SEGMENTS, what, frame << shift, owners.name(frame))
    return stop.finding(SEGMENTS, what, area.begin)
