# SPDX-License-Identifier: BSD-3-Clause
"""iommu-liveupdate: state of IOMMUs, a state that files share.

Layout: struct iommu_flb_ser, version 1, in include/linux/kho/abi/iommu.h of samikhawaja/linux@
07a493131c2b (v5 of the series): three chains of pages, of IOMMUs, of domains and of devices, each
page with the next one's address and the number of objects in it. The objects changed from posting
to posting without another version, so they are not read: what they point to has no owner here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.blocks import Blocks
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysRange, read_bytes

IOMMU_NAME = "iommu-liveupdate"
SUBJECT = "iommu"
VERSION = 1
_HEAD = struct.Struct("<QQQQ")  # version, IOMMUs, domains, devices
_PAGE_HEAD = struct.Struct("<QQ")  # next_array_phys, nr_objects
_SMALLEST = 8  # bytes of an object: all of them begin with a header of that size
_MOST_PAGES = 10_000  # of one chain
_CHAINS = ("iommus", "domains", "devices")


@dataclass(frozen=True)
class IommuState:
    """How much there is of each."""

    iommus: int
    domains: int
    devices: int

    def __str__(self) -> str:
        return f"{self.iommus} IOMMUs, {self.domains} domains, {self.devices} devices"


def _chain(state: LuoState, first: int, what: str, seen: set[int]) -> tuple[list[int], int]:
    """Addresses of the pages and the number of objects in them."""
    size = state.handover.geometry.page_size
    pages: list[int] = []
    count, at = 0, first
    while at:
        if at % size:
            raise DecodeError("iommu-chain", at, f"{what}: an array does not begin a page")
        if at in seen or len(pages) == _MOST_PAGES:
            text = f"{what}: array {len(pages)} is reached twice, or there are too many"
            raise DecodeError("iommu-chain", at, text)
        seen.add(at)
        pages.append(at)
        following, objects = _PAGE_HEAD.unpack(read_bytes(state.memory, at, _PAGE_HEAD.size))
        most = (size - _PAGE_HEAD.size) // _SMALLEST
        if objects > most:
            text = f"{what}: {objects} objects in a page, expected at most {most}"
            raise DecodeError("iommu-count", at, text)
        count += objects
        at = following
    return pages, count


def _decode(state: LuoState) -> DecodedClient:
    at, problems = state.data, Problems()
    version, *firsts = _HEAD.unpack(read_bytes(state.memory, at, _HEAD.size))
    if version != VERSION:
        raise DecodeError("iommu-version", at, f"version {version}, expected {VERSION}")
    arrays: list[OwnedBlocks] = []
    counts: list[int] = []
    seen: set[int] = set()
    shift = state.handover.geometry.page_shift
    for what, first in zip(_CHAINS, firsts):
        try:
            pages, count = _chain(state, first, what, seen)
        except DecodeError as error:
            problems.keep(error.problem)
            continue
        counts.append(count)
        blocks = Blocks.of((page >> shift, 0) for page in pages)
        arrays.append(OwnedBlocks(f"{state.owner} {what}", blocks))
    found = IommuState(*counts) if len(counts) == len(_CHAINS) else None
    own = [(state.owner, PhysRange(at, _HEAD.size))]
    return DecodedClient(found, own, problems.items, arrays)


FORMATS = (LuoDecoder(IOMMU_NAME, _decode, SUBJECT),)
