# SPDX-License-Identifier: BSD-3-Clause
"""A dump as an HTML page or SVG map."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Sequence

from khorig.kho.page_runs import PageRuns, memory_picture, structure_picture
from khorig.kho.snapshot import Snapshot
from khorig.out.inspect.client_lines import client_lines
from khorig.out.inspect.details import dts_lines, pages_by_owner
from khorig.out.inspect.summary import candidate_line, summary_lines
from khorig.out.report.fragment_tree import tree_of
from khorig.out.report.memory_map import MemoryMap, colours_of, draw_map
from khorig.out.report.templates import render
from khorig.out.text import size
from khorig.rules.check import check
from khorig.rules.outcome import Outcome, Status

_MOST_NODES = 200
_MOST_OWNERS = 60
_MOST_LINES = 4000  # of the device trees


@dataclass(frozen=True)
class _Drawn:
    """Data shared by page and map."""

    picture: dict[str, Any]
    map: MemoryMap
    broken: Sequence[Outcome]  # violated rules, failures first
    holds: int  # number of rules that hold


def _draw(snapshot: Snapshot) -> _Drawn:
    memory = snapshot.memory
    pages = PageRuns(
        memory.ranges, snapshot.geometry, snapshot.handover, snapshot.owners, snapshot.frames
    )
    picture = memory_picture(pages, snapshot.scratch or (), ())
    picture.update(structure_picture(snapshot.handover))
    outcomes = check(snapshot)
    failed = [o for o in outcomes if o.status is Status.FAILED]
    warned = [o for o in outcomes if o.status is Status.WARNING]
    page = snapshot.geometry.page_size
    conflicts = sorted(
        {
            v.address & -page
            for outcome in failed
            for v in outcome.violations
            if any(r.contains(v.address, 1) for r in memory.ranges)
        }
    )
    drawn = draw_map(picture, colours_of([picture]), conflicts)
    return _Drawn(picture, drawn, [*failed, *warned], sum(o.status is Status.OK for o in outcomes))


def dump_html(snapshot: Snapshot) -> str:
    """A self-contained page. Raises InfraError without jinja2."""
    drawn = _draw(snapshot)
    tree = tree_of(drawn.picture)
    if tree:
        tree.keep(_MOST_NODES)
    owners = pages_by_owner(snapshot)
    lines = list(islice(dts_lines(snapshot), _MOST_LINES + 1))
    counts = {
        status.value: sum(o.status is status for o in drawn.broken)
        for status in (Status.FAILED, Status.WARNING)
    }
    return render(
        "dump.html.j2",
        snapshot=snapshot,
        drawn=drawn,
        counts=counts,
        tree=tree,
        most_nodes=_MOST_NODES,
        owners=owners[:_MOST_OWNERS],
        owners_left_out=max(0, len(owners) - _MOST_OWNERS),
        others=[candidate_line(c) for c in snapshot.candidates[1:9]],
        clients=client_lines(snapshot),
        summary=summary_lines(snapshot),
        dts=lines[:_MOST_LINES],
        dts_left_out=len(lines) > _MOST_LINES,
    )


def dump_svg(snapshot: Snapshot) -> str:
    """The memory map with legend. Raises like `dump_html`."""
    title = snapshot.dump.path.name
    return render("map.svg.j2", title=title, line=_line(snapshot), map=_draw(snapshot).map)


def _line(snapshot: Snapshot) -> str:
    """What the memory is, and how much of it is preserved."""
    dump, blocks = snapshot.dump, snapshot.handover.blocks
    parts = ["/".join(part for part in (snapshot.arch, dump.machine) if part)]
    if dump.run:
        parts.append(f"generation {dump.run.generation} at {dump.run.at}")
    preserved = size(blocks.page_count * snapshot.geometry.page_size)
    parts.append(f"{preserved} preserved in {len(blocks)} blocks")
    return ", ".join(part for part in parts if part)
