# SPDX-License-Identifier: BSD-3-Clause
"""Compares khorig's page allocator with blocks in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from khorig.kho.blocks import Blocks, Int64Array
from khorig.kho.frame_table import FrameByte, FrameState, FrameTable, frame_byte


@dataclass(frozen=True)
class OddFrame:
    """A page with an unexpected allocator state."""

    frame: int
    block: int  # index of its block in the compared `Blocks`
    order: int  # of that block
    found: FrameByte
    expected: FrameByte

    def __str__(self) -> str:
        return f"order {self.order}: {self.found} in the frame table, expected " f"{self.expected}"


def odd_frames(
    table: FrameTable,
    blocks: Blocks,
    states: Sequence[FrameState] = (FrameState.ALLOCATED,),
    most: int = 64,
) -> list[OddFrame]:
    """The first `most` pages of `blocks`, by address, that are not part of one block of the same
    order, head and every tail, in one of `states`. `blocks` are disjoint and inside RAM."""
    frames = blocks.page_frames()
    heads = np.cumsum(blocks.counts) - blocks.counts
    found = table.states(frames)
    wrong: Int64Array = np.arange(len(frames), dtype=np.int64)
    for state in states:
        expected = np.full(len(frames), frame_byte(state, None), dtype=np.uint8)
        expected[heads] = frame_byte(state, 0) + blocks.orders
        wrong = wrong[found[wrong] != expected[wrong]]
    wrong = wrong[np.argsort(frames[wrong], kind="stable")][:most]
    odd = []
    for at in wrong.tolist():
        number = int(np.searchsorted(heads, at, side="right")) - 1
        order = int(blocks.orders[number])
        wanted = frame_byte(FrameState.ALLOCATED, order if at == heads[number] else None)
        odd.append(
            OddFrame(int(frames[at]), number, order, FrameByte(int(found[at])), FrameByte(wanted))
        )
    return odd
