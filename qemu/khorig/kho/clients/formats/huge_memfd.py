# SPDX-License-Identifier: BSD-3-Clause
"""huge-memfd-v1: a memfd of huge pages, a file of a session.

Layout: struct hugemfd_ser in include/linux/kho/abi/hugetlb.h of intel-lab-lkp/linux@e99e331639f1,
the same RFC as hugetlb-v1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.folio_array import FolioArray
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysRange, read_bytes

HUGE_MEMFD_NAME = "huge-memfd-v1"
SUBJECT = "huge-memfd"
_STRUCT = struct.Struct("<QQQ16sB")  # size, pos, nr_folios, vmalloc, order


@dataclass(frozen=True, eq=False)
class HugeMemfd:
    """A memfd of huge pages."""

    size: int  # bytes
    position: int
    order: int
    array: FolioArray

    def __str__(self) -> str:
        pages = f"{len(self.array.folios)} huge pages of order {self.order}"
        return f"memfd, {self.size:#x} bytes in {pages}"


def _decode(state: LuoState) -> DecodedClient:
    at, what, problems = state.data, state.owner, Problems()
    raw = read_bytes(state.memory, at, _STRUCT.size)
    size, position, count, vmalloc, order = _STRUCT.unpack(raw)
    own = [(what, PhysRange(at, _STRUCT.size))]
    try:
        array = state.lists.folio_array(vmalloc, count, size, at, what, SUBJECT)
    except DecodeError as error:
        problems.keep(error.problem)
        return DecodedClient(None, own, problems.items)
    odd = np.flatnonzero(array.folios.orders != order)
    if len(odd):
        address = int(array.folios.frames[odd[0]]) << state.handover.geometry.page_shift
        found = int(array.folios.orders[odd[0]])
        text = f"{what}: folio {odd[0]} is preserved with order {found}, expected {order}"
        problems.add("huge-memfd-order", address, text)
    return array.decoded(HugeMemfd(size, position, order, array), what, own, problems.items)


FORMATS = (LuoDecoder(HUGE_MEMFD_NAME, _decode, SUBJECT),)
