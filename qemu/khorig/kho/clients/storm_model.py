# SPDX-License-Identifier: BSD-3-Clause
"""The store of the scenario `storm`: which blocks its CPUs believe to have preserved."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Blocks
from khorig.kho.clients.khorig import Store, read_store
from khorig.kho.clients.scenario_blocks import CHURN_PAGES, ChurnModel, blocks_of_model
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, range_at

STORM_STORE = "storm"
STORM_PAGES = CHURN_PAGES  # and the same bytes for them
STORM_CONTENDED = 64  # pages
_HEAD = struct.Struct("<3Q")  # region, contended pages, CPUs


@dataclass(frozen=True, eq=False)
class StormModel:
    """What the CPUs of one generation preserved in their region, and the contended pages."""

    region: int  # physical address
    contended: int  # physical address
    cpus: int
    pages: npt.NDArray[np.uint8]  # 0 nothing, 1 + order a block's first page, 0xff its others


def read_storm_model(memory: PhysicalMemory, store: Store) -> StormModel:
    """The content of the store "storm". Raises DecodeError "storm-model"; OutsideRam."""
    geometry = store.vmalloc.geometry
    raw = read_store(memory, store)
    if len(raw) != _HEAD.size + STORM_PAGES:
        text = f"store '{store.name}' has {len(raw)} bytes, expected {_HEAD.size + STORM_PAGES}"
        raise DecodeError("storm-model", store.vmalloc.first, text)
    region, contended, cpus = _HEAD.unpack_from(raw)
    for address, count in ((region, STORM_PAGES), (contended, STORM_CONTENDED)):
        size = count << geometry.page_shift
        inside = range_at(memory.ranges, address).contains(address, size)
        if address % geometry.page_size or not inside:
            text = f"{count} pages at {address:#018x}"
            raise DecodeError("storm-model", store.vmalloc.first, text)
    pages = np.frombuffer(raw, dtype=np.uint8, offset=_HEAD.size)
    return StormModel(region, contended, cpus, pages)


def storm_blocks(model: StormModel, geometry: Geometry) -> Blocks:
    """The blocks of the region that the model says are preserved. Raises DecodeError
    "churn-model", because the bytes mean the same."""
    return blocks_of_model(ChurnModel(model.region, model.pages), geometry)


def storm_contended(model: StormModel, geometry: Geometry) -> Blocks:
    """The contended pages that stay preserved: those with even numbers."""
    first = model.contended >> geometry.page_shift
    return Blocks.of([(first + number, 0) for number in range(0, STORM_CONTENDED, 2)])
