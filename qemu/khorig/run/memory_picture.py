# SPDX-License-Identifier: BSD-3-Clause
"""Memory use at a stop, compact enough for the journal; reports are drawn from it."""

from __future__ import annotations

from typing import Any, Sequence

from khorig.kho.frame_table import FrameTable, read_frame_table
from khorig.kho.page_runs import PageRuns, memory_picture, structure_picture
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop

_MOST_PLACES = 4  # of findings
_AROUND = 32  # pages before and after a finding


def _pages(stop: Stop, snapshot: Snapshot | None) -> PageRuns:
    handover, owners = (snapshot.handover, snapshot.owners) if snapshot else (None, None)
    geometry = snapshot.geometry if snapshot else stop.geometry
    return PageRuns(stop.memory.ranges, geometry, handover, owners, _frames(stop))


def _frames(stop: Stop) -> FrameTable | None:
    facts = stop.facts.memory
    if facts is None:
        return None
    try:
        return read_frame_table(
            stop.memory, facts.table, facts.first_frame, facts.frame_count, stop.geometry
        )
    except DecodeError:
        return None  # reported by KHR-I072


def draw_memory(
    stop: Stop, snapshot: Snapshot | None, findings: Sequence[Finding]
) -> dict[str, Any]:
    """The picture for the journal. `snapshot`: the sealed handover, None if unreadable. `near`: the
    pages around the findings."""
    pages = _pages(stop, snapshot)
    facts = stop.facts
    scratch = facts.memory.scratch if facts.memory else ()
    segments = facts.segments.items if facts.segments else ()
    picture = memory_picture(pages, scratch, [(s.name, s.area) for s in segments])
    picture["near"] = _near(pages, scratch, findings)
    if snapshot is not None:
        picture.update(structure_picture(snapshot.handover))
    return picture


def draw_places(stop: Stop, snapshot: Snapshot, findings: Sequence[Finding]) -> dict[str, Any]:
    """Only the pages around the findings, for a stop that changes nothing else."""
    pages = _pages(stop, snapshot)
    near = _near(pages, snapshot.scratch or (), findings)
    return {"page_size": snapshot.geometry.page_size, "near": near}


def _near(
    pages: PageRuns, scratch: Sequence[PhysRange], findings: Sequence[Finding]
) -> list[dict[str, Any]]:
    """Around each address in a finding: [[use, pages], ...] from page `first` on."""
    places = dict.fromkeys(
        int(finding.where, 16) >> pages.shift
        for finding in findings
        if finding.where.startswith("0x")
    )
    near = []
    for frame in list(places)[:_MOST_PLACES]:
        first = max(0, frame - _AROUND)
        runs: list[list[Any]] = []
        for other in range(first, frame + _AROUND + 1):
            what = pages.what(other, scratch)
            if runs and runs[-1][0] == what:
                runs[-1][1] += 1
            else:
                runs.append([what, 1])
        near.append({"page": frame, "first": first, "runs": runs})
    return near
