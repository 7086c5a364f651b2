# SPDX-License-Identifier: BSD-3-Clause
"""Sets of blocks against ranges that begin and end anywhere, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from khorig.kho.blocks import BlockIndex, Blocks
from khorig.mem.memory import PhysRange

Pairs = list[tuple[int, int]]  # (frame, order)

# From the middle of frame 1 to the middle of frame 8.
CUT = PhysRange(0x1800, 0x7000)


@pytest.mark.parametrize(
    "block, inside, touching",
    [
        ((0, 0), False, False),
        ((1, 0), False, True),
        ((2, 0), True, True),
        ((0, 1), False, True),  # reaches into it from below
        ((0, 4), False, True),  # around it
        ((4, 2), True, True),
        ((7, 0), True, True),
        ((8, 0), False, True),
        ((8, 3), False, True),  # begins in its last page
        ((9, 0), False, False),
    ],
)
def test_a_block_and_a_range_that_cuts_pages(
    block: tuple[int, int], inside: bool, touching: bool
) -> None:
    blocks = Blocks.of([block])
    assert blocks.inside([CUT], 12).tolist() == [inside]
    assert blocks.touching([CUT], 12).tolist() == [touching]
    elsewhere = PhysRange(1 << 40, 0x1000)
    assert blocks.touching([elsewhere, CUT, PhysRange(0x2000, 0)], 12).tolist() == [touching]


@pytest.mark.parametrize(
    "blocks, intruders",
    [
        ([(8, 2), (12, 2)], []),  # they touch
        ([(8, 2), (8, 0)], [(8, 0)]),
        ([(8, 0), (8, 2)], [(8, 0)]),
        ([(8, 3), (9, 0), (14, 1)], [(9, 0), (14, 1)]),  # behind a small one the large one goes on
        ([(14, 0), (8, 3), (16, 0), (9, 0)], [(9, 0), (14, 0)]),
        ([(4, 0), (4, 0), (4, 0)], [(4, 0), (4, 0)]),
    ],
)
def test_blocks_inside_blocks(blocks: Pairs, intruders: Pairs) -> None:
    found = Blocks.of(blocks)
    bad = found.select(found.overlapping())
    assert sorted(zip(bad.frames.tolist(), bad.orders.tolist())) == intruders


INDEX = BlockIndex(Blocks.of([(16, 2), (4, 1), (6, 1)]))  # 4 to 8 in two blocks, 16 to 20


@pytest.mark.parametrize(
    "frame, block",
    [(3, None), (4, (4, 1)), (5, (4, 1)), (6, (6, 1)), (8, None), (15, None), (19, (16, 2)),
     (20, None)],
)  # fmt: skip
def test_the_block_of_a_frame(frame: int, block: tuple[int, int] | None) -> None:
    assert INDEX.find(frame) == block


@pytest.mark.parametrize(
    "frame, count, gap",
    [(4, 4, None), (5, 2, None), (4, 5, 8), (3, 2, 3), (7, 12, 8), (16, 4, None), (16, 5, 20),
     (20, 1, 20), (9, 0, None)],
)  # fmt: skip
def test_the_first_frame_that_is_in_no_block(frame: int, count: int, gap: int | None) -> None:
    assert INDEX.first_gap(frame, count) == gap


def test_many_at_once() -> None:
    frames = np.array([3, 4, 5, 6, 7, 8, 15, 16, 19, 20, -1])
    inside, found = INDEX.find_all(frames)
    expected = [INDEX.find(frame) for frame in frames.tolist()]
    assert inside.tolist() == [block is not None for block in expected]
    pairs = list(zip(found.frames[inside].tolist(), found.orders[inside].tolist()))
    assert pairs == [block for block in expected if block]
    assert not BlockIndex(Blocks.of([])).find_all(frames)[0].any()
