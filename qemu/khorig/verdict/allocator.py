# SPDX-License-Identifier: BSD-3-Clause
"""The guest's page allocator against the tree of preserved blocks: two views of one memory."""

from __future__ import annotations

import numpy as np

from khorig.model import Finding
from khorig.verdict.page_changes import owner_of
from khorig.verdict.sealed_state import SealedState
from khorig.verdict.stop import Stop
from khorig.view.blocks import Blocks
from khorig.view.errors import DecodeError
from khorig.view.frame_table import (
    FrameByte,
    FrameState,
    FrameTable,
    frame_byte,
    read_frame_table,
)

_OTHERS = 4  # further frames shown


def compare_with_allocator(stop: Stop, sealed: SealedState, clause: str) -> list[Finding]:
    """One finding when a preserved block is anything else for the allocator than an allocated
    block of the same order, head and every tail."""
    if stop.facts.memory is None:
        return [stop.finding(clause, "there was no 'memory' event before this stop")]
    facts = stop.facts.memory
    try:
        table = read_frame_table(stop.memory, facts.table, facts.first_frame, facts.frame_count)
    except DecodeError as error:
        return [stop.finding_of(clause, error.problem, "frame table")]
    blocks = sealed.handover.blocks
    if stop.generation == sealed.generation:
        blocks = _with_nodes(blocks, sealed, stop)
    return _compare(stop, sealed, clause, table, blocks)


def _with_nodes(blocks: Blocks, sealed: SealedState, stop: Stop) -> Blocks:
    """The tree's own pages are in use, too, until the next kernel has read them."""
    frames = [n.address >> stop.geometry.page_shift for n in sealed.handover.tree.nodes]
    return Blocks(
        np.concatenate([blocks.frames, np.array(frames, dtype=np.int64)]),
        np.concatenate([blocks.orders, np.zeros(len(frames), dtype=np.int64)]),
    )


def _compare(
    stop: Stop, sealed: SealedState, clause: str, table: FrameTable, blocks: Blocks
) -> list[Finding]:
    frames = blocks.page_frames()
    expected = np.full(len(frames), frame_byte(FrameState.ALLOCATED, None), dtype=np.uint8)
    heads = np.cumsum(blocks.counts) - blocks.counts
    expected[heads] = frame_byte(FrameState.ALLOCATED, 0) + blocks.orders
    found = table.states(frames)
    wrong = np.flatnonzero(found != expected)
    if not len(wrong):
        return []
    wrong = wrong[np.argsort(frames[wrong], kind="stable")]

    def line(at: int) -> str:
        shift = stop.geometry.page_shift
        number = int(np.searchsorted(heads, at, side="right")) - 1
        block = f"{int(blocks.frames[number]) << shift:#018x}, order {int(blocks.orders[number])}"
        kind = "preserved block" if number < len(sealed.handover.blocks) else "radix node"
        is_as = f"{FrameByte(int(found[at]))}, expected {FrameByte(int(expected[at]))}"
        return (
            f"frame {int(frames[at]) << shift:#018x} of the {kind} {block}: "
            f"the allocator has it as {is_as}"
        )

    others = tuple(line(int(at)) for at in wrong[1 : 1 + _OTHERS])
    if len(wrong) > 1:
        others = (f"{len(wrong) - 1} other frames are wrong as well:", *others)
    first = int(wrong[0])
    frame = int(frames[first])
    owner = owner_of(sealed, frame, stop)
    address = frame << stop.geometry.page_shift
    return [stop.finding(clause, line(first), address, owner, others)]
