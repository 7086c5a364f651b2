# SPDX-License-Identifier: BSD-3-Clause
"""hugetlb-v1: how many huge pages of each size are preserved, a state that files share.

Layout: struct hugetlb_ser in include/linux/kho/abi/hugetlb.h of prati0100/linux@18ae0a38140c, an
RFC. The pages themselves are listed by the files that have them (huge_memfd.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysRange, read_bytes

HUGETLB_NAME = "hugetlb-v1"
SUBJECT = "hugetlb"
_MOST = 4  # HUGETLB_SER_MAX_HSTATES
_HSTATE = struct.Struct("<QB")  # nr_pages, order
_SIZE = _MOST * _HSTATE.size + 1  # nr_hstates is the last byte


@dataclass(frozen=True)
class HugePages:
    """Preserved huge pages."""

    counts: tuple[tuple[int, int], ...]  # order, pages
    page_shift: int

    def __str__(self) -> str:
        sizes = (f"{n} of {1 << self.page_shift + order:#x} bytes" for order, n in self.counts)
        return f"preserved huge pages: {', '.join(sizes) or 'none'}"


def _decode(state: LuoState) -> DecodedClient:
    at, problems = state.data, Problems()
    raw = read_bytes(state.memory, at, _SIZE)
    if raw[-1] > _MOST:
        raise DecodeError("hugetlb-count", at, f"{raw[-1]} sizes, expected at most {_MOST}")
    counts: dict[int, int] = {}
    handover = state.handover
    highest = handover.geometry.order_0_bit - handover.geometry.bitmap_log2
    for number in range(raw[-1]):
        place = number * _HSTATE.size
        pages, order = _HSTATE.unpack_from(raw, place)
        if order > highest:
            raise DecodeError("hugetlb-order", at + place, f"order {order}, at most {highest}")
        if order in counts:
            problems.add(
                "hugetlb-order", at + place, f"order {order} is there twice, expected once"
            )
        counts[order] = pages
        preserved = int(np.count_nonzero(handover.blocks.orders == order))
        # A kernel that has restored the handover has emptied the tracker.
        if pages > preserved and len(handover.blocks):
            text = f"{pages} preserved pages of order {order}, but {preserved} blocks of that order"
            problems.add("hugetlb-pages", at + place, text)
    found = HugePages(tuple(counts.items()), handover.geometry.page_shift)
    return DecodedClient(found, [(state.owner, PhysRange(at, _SIZE))], problems.items)


FORMATS = (LuoDecoder(HUGETLB_NAME, _decode, SUBJECT),)
