# SPDX-License-Identifier: BSD-3-Clause
"""Summary of a snapshot as text."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.kho.bitmap_chunks import BitmapChunks
from khorig.kho.candidates import Candidate
from khorig.kho.snapshot import Snapshot
from khorig.mem.formats.dump import Dump
from khorig.out.inspect.client_lines import client_lines
from khorig.out.inspect.firmware import firmware_lines
from khorig.out.text import size

_LABEL = 12  # columns
_MOST = 6  # list entries


def labelled(label: str, lines: list[str]) -> Iterator[str]:
    """Lines with a label before the first."""
    for number, line in enumerate(lines):
        yield f"{label if number == 0 else '':<{_LABEL}}{line}".rstrip()


def dump_lines(dump: Dump, arch: str | None) -> Iterator[str]:
    """The dump and its RAM."""
    yield from labelled("dump", [f"{dump.path.name}: {dump.format}"])
    machine = ", ".join(part for part in (arch or "unknown architecture", dump.machine) if part)
    yield from labelled("machine", [machine])
    if dump.release:
        yield from labelled("kernel", [dump.release])
    ranges = dump.memory.ranges
    total = sum(r.size for r in ranges)
    known = sum(r.size for r in dump.memory.data())
    lines = [f"{size(total)}, {size(known)} non-empty"]
    lines += [f"{r}  {size(r.size)}" for r in ranges[:_MOST]]
    if len(ranges) > _MOST:
        lines.append(f"and {len(ranges) - _MOST} more ranges")
    yield from labelled("RAM", lines)
    if dump.run:
        yield from labelled("generation", [f"{dump.run.generation}, at {dump.run.at}"])


def candidate_line(candidate: Candidate) -> str:
    """A root that was not chosen or is unreadable."""
    count = "" if candidate.generation is None else f"for jump {candidate.generation}, "
    return f"{candidate.address:#018x}  {count}{candidate.state}; from {_how(candidate)}"


def _how(candidate: Candidate) -> str:
    shown = ", ".join(candidate.how[:3])
    return shown if len(candidate.how) <= 3 else f"{shown} and {len(candidate.how) - 3} more"


def summary_lines(snapshot: Snapshot) -> list[str]:
    """Output of `khorig inspect` without options, except the memory map."""
    lines = list(dump_lines(snapshot.dump, snapshot.arch))
    chosen, handover = snapshot.chosen, snapshot.handover
    root = [
        f"{chosen.address:#018x}  {handover.codec.compatible} ({handover.codec.writers})",
        f"from {_how(chosen)}",
        chosen.state,
    ]
    if chosen.generation is not None:
        root[-1] += f", made for jump {chosen.generation}"
    if snapshot.direction:
        root[-1] += f", {snapshot.direction}"
    lines += labelled("root", root)
    if len(snapshot.candidates) > 1:
        lines += labelled("other roots", [candidate_line(c) for c in snapshot.candidates[1:9]])
    lines += labelled("preserved", _preserved(snapshot))
    lines += labelled("tracker", _tracker(snapshot))
    lines += labelled("scratch", _scratch(snapshot))
    count = len(handover.fragments)
    nested = f"{count} device trees, depth {handover.depth}, {len(handover.blobs)} plain blobs"
    lines += labelled("fragments", [nested])
    lines += labelled("clients", client_lines(snapshot) or ["none"])
    if snapshot.firmware:
        lines += labelled("firmware", firmware_lines(snapshot.firmware))
    lines += labelled("problems", _problems(snapshot))
    return lines


def _preserved(snapshot: Snapshot) -> list[str]:
    blocks = snapshot.handover.blocks
    pages = blocks.page_count
    total = size(pages << snapshot.geometry.page_shift)
    page_size = size(snapshot.geometry.page_size)
    lines = [f"{len(blocks)} blocks, {pages} pages of {page_size}, {total}"]
    counts: list[int] = np.bincount(blocks.orders).tolist()
    orders = [f"{count} of order {order}" for order, count in enumerate(counts) if count]
    lines += [", ".join(orders[i : i + 4]) for i in range(0, len(orders), 4)]
    begins, ends = snapshot.owners.unowned
    unowned = int((ends - begins).sum())
    if unowned:
        lines.append(f"{unowned} pages without an owner")
    return lines


def _tracker(snapshot: Snapshot) -> list[str]:
    tree = snapshot.handover.tree
    bytes_used = size(len(tree.nodes) << snapshot.geometry.page_shift)
    if isinstance(tree, BitmapChunks):
        chunks = sum(node.level for node in tree.nodes)
        bitmaps = len(tree.nodes) - chunks
        return [
            f"{chunks} chunks, first at {tree.root:#018x}, {bitmaps} bitmaps of "
            f"{tree.bitmap_bytes} bytes"
        ]
    leaves = sum(node.level == 0 for node in tree.nodes)
    levels = snapshot.geometry.levels
    where = f"radix tree of {levels} levels at {tree.root:#018x}"
    return [f"{where}: {len(tree.nodes)} nodes, {bytes_used}, {leaves} leaves"]


def _scratch(snapshot: Snapshot) -> list[str]:
    if snapshot.scratch is None:
        return ["unknown: not in boot parameters or sidecar"]
    total = size(sum(area.size for area in snapshot.scratch))
    lines = [f"{total} in {len(snapshot.scratch)} areas, from {snapshot.scratch_from}"]
    return lines + [f"{area}  {size(area.size)}" for area in snapshot.scratch]


def _problems(snapshot: Snapshot) -> list[str]:
    problems = [
        *snapshot.handover.problems,
        *snapshot.clients.problems,
        *snapshot.linux.problems,
        *snapshot.problems,
    ]
    if not problems:
        return ["none while decoding; `khorig check` evaluates all rules"]
    shown = [str(problem) for problem in problems[:_MOST]]
    return [f"{len(problems)} while decoding; see `khorig check`", *shown]
