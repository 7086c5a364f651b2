# SPDX-License-Identifier: BSD-3-Clause
"""The blocks that a scenario keeps besides its stores, listed in the store "blocks"."""

from __future__ import annotations

import numpy as np

from khorig.view.blocks import Blocks
from khorig.view.clients import Store, read_store
from khorig.view.errors import DecodeError
from khorig.view.layout import GEOMETRY_4K, Geometry
from khorig.view.memory import PhysicalMemory

BLOCKS_STORE = "blocks"
_ENTRY = 8  # bytes: the physical address, its page offset bits holding the order


def read_block_list(
    memory: PhysicalMemory, store: Store, geometry: Geometry = GEOMETRY_4K
) -> Blocks:
    """The listed blocks, all inside RAM and disjoint; number n of the list is block n.

    Raises DecodeError "block-list"; OutsideRam.
    """

    def broken(text: str) -> DecodeError:
        return DecodeError("block-list", store.vmalloc.first, f"store '{store.name}': {text}")

    raw = read_store(memory, store, geometry)
    if len(raw) % _ENTRY:
        raise broken(f"{len(raw)} bytes are not whole entries of {_ENTRY}")
    entries = np.frombuffer(raw, dtype="<u8")
    if len(entries) and int(entries.max()) >> 63:
        raise broken(f"a block at {int(entries.max()):#018x}")
    numbers = entries.astype(np.int64)
    blocks = Blocks(numbers >> geometry.page_shift, numbers & (geometry.page_size - 1))
    if len(blocks) and int(blocks.orders.max()) > geometry.order_0_bit - geometry.bitmap_log2:
        raise broken(f"a block of order {int(blocks.orders.max())}")
    outside = ~blocks.inside(memory.ranges, geometry.page_shift)
    if outside.any():
        number = int(np.flatnonzero(outside)[0])
        raise broken(f"block {number} at {int(entries[number]):#018x} is not inside RAM")
    twice = blocks.overlapping()
    if twice.any():
        number = int(np.flatnonzero(twice)[0])
        raise broken(f"block {number} at {int(entries[number]):#018x} overlaps another")
    return blocks
