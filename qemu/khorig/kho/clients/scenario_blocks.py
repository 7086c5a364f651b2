# SPDX-License-Identifier: BSD-3-Clause
"""Blocks that a scenario keeps besides its stores; stores of its own tell which they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Blocks
from khorig.kho.clients.khorig import Store, read_store
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, range_at

BLOCKS_STORE = "blocks"
_ENTRY = 8  # bytes: the physical address, its page offset bits holding the order

CHURN_STORE = "churn"
CHURN_PAGES = 1024
_CHURN_TAIL = 0xFF
_ADDRESS = 8  # bytes of the region's address, before the model


@dataclass(frozen=True, eq=False)
class OwnedBlocks:
    """Blocks of one owner, by number."""

    owner: str
    blocks: Blocks


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """What the scenario `churn` believes to have preserved in its region."""

    region: int  # physical address
    pages: npt.NDArray[np.uint8]  # 0 nothing, 1 + order a block's first page, 0xff its others


def read_block_list(memory: PhysicalMemory, store: Store) -> Blocks:
    """The blocks in the store "blocks", inside RAM and disjoint; entry n of the list is block n.

    Raises DecodeError "block-list"; OutsideRam.
    """

    def broken(text: str) -> DecodeError:
        return DecodeError("block-list", store.vmalloc.first, f"store '{store.name}': {text}")

    geometry = store.vmalloc.geometry
    raw = read_store(memory, store)
    if len(raw) % _ENTRY:
        raise broken(f"{len(raw)} bytes are not whole entries of {_ENTRY}")
    entries = np.frombuffer(raw, dtype="<u8")
    if len(entries) and int(entries.max()) >> 63:
        raise broken(f"a block at {int(entries.max()):#018x}")
    numbers = entries.astype(np.int64)
    blocks = Blocks(numbers >> geometry.page_shift, numbers & (geometry.page_size - 1))
    if len(blocks) and int(blocks.orders.max()) > geometry.order_0_bit - geometry.bitmap_log2:
        raise broken(f"a block of order {int(blocks.orders.max())}")
    for bad, text in (
        (~blocks.inside(memory.ranges, geometry.page_shift), "is not inside RAM"),
        (blocks.overlapping(), "overlaps another"),
    ):
        if bad.any():
            number = int(np.flatnonzero(bad)[0])
            raise broken(f"block {number} at {int(entries[number]):#018x} {text}")
    return blocks


def read_churn_model(memory: PhysicalMemory, store: Store) -> ChurnModel:
    """The content of the store "churn". Raises DecodeError "churn-model"; OutsideRam."""
    geometry = store.vmalloc.geometry
    raw = read_store(memory, store)
    if len(raw) != _ADDRESS + CHURN_PAGES:
        text = f"store '{store.name}' has {len(raw)} bytes, expected {_ADDRESS + CHURN_PAGES}"
        raise DecodeError("churn-model", store.vmalloc.first, text)
    region = int.from_bytes(raw[:_ADDRESS], "little")
    size = CHURN_PAGES << geometry.page_shift
    if region % geometry.page_size or not range_at(memory.ranges, region).contains(region, size):
        text = f"a region of {CHURN_PAGES} pages at {region:#018x}"
        raise DecodeError("churn-model", store.vmalloc.first, text)
    return ChurnModel(region, np.frombuffer(raw[_ADDRESS:], dtype=np.uint8))


def blocks_of_model(model: ChurnModel, geometry: Geometry) -> Blocks:
    """The blocks that the model says are preserved, ascending. Raises DecodeError "churn-model"
    when the bytes do not describe blocks."""
    found = []
    page = 0
    while page < CHURN_PAGES:
        byte = int(model.pages[page])
        if byte == 0:
            page += 1
            continue
        order = byte - 1
        end = page + (1 << order) if order < CHURN_PAGES.bit_length() else CHURN_PAGES + 1
        if end > CHURN_PAGES or (model.pages[page + 1 : end] != _CHURN_TAIL).any():
            text = f"byte {byte:#04x} of page {page} of the model starts no block"
            raise DecodeError("churn-model", model.region, text)
        found.append(((model.region >> geometry.page_shift) + page, order))
        page = end
    return Blocks.of(found)
