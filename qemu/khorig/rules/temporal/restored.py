# SPDX-License-Identifier: BSD-3-Clause
"""Compares restored blocks with the sealed ones."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.frames import odd_frames
from khorig.rules.stop import Stop, decoded
from khorig.rules.temporal.definitions import BLOCKS_RESTORED
from khorig.rules.temporal.record import Record

_MOST = 5  # frames shown


def check_blocks(stop: Stop, before: Record) -> list[Finding]:
    """Every block is allocated with its preserved order."""
    if stop.facts.memory is None:
        return stop.no_event(BLOCKS_RESTORED, "memory")
    return decoded(stop, BLOCKS_RESTORED, "frame table", lambda: _check_blocks(stop, before))


def _check_blocks(stop: Stop, before: Record) -> list[Finding]:
    blocks, shift = before.snapshot.handover.blocks, stop.geometry.page_shift
    odd = odd_frames(stop.frames, blocks, most=_MOST)
    if not odd:
        return []
    lines = [
        f"page {frame.frame << shift:#018x} of the block at "
        f"{int(blocks.frames[frame.block]) << shift:#018x} of {frame}"
        for frame in odd
    ]
    first = odd[0].frame
    owner = before.snapshot.describe(first)
    return [stop.finding(BLOCKS_RESTORED, lines[0], first << shift, owner, tuple(lines[1:]))]
