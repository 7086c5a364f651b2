# SPDX-License-Identifier: BSD-3-Clause
"""Linux's chains of blocks: pages of entries, each page naming the next (7.2 and later)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, read_bytes

_HEAD = struct.Struct("<QQ")  # next, count
MAX_BLOCKS = 10_000  # Linux's own bound
MAX_ALL = 1 << 16  # pages of all chains of a handover


@dataclass(frozen=True)
class BlockChain:
    """A chain, read."""

    pages: tuple[int, ...]  # addresses
    entries: tuple[tuple[int, bytes], ...]  # address and bytes of each

    def without_entries(self) -> BlockChain:
        """What is kept when the entries are decoded."""
        return BlockChain(self.pages, ())


def read_block_chain(
    memory: PhysicalMemory, first: int, entry_size: int, geometry: Geometry, seen: set[int]
) -> BlockChain:
    """Follows the chain from the page at `first` on, 0 for an empty one. `seen` has the pages of
    the chains before, and those of this one afterwards.

    Raises DecodeError: "unaligned", "outside-ram", "chain-cycle" (a page that one of the chains
    has already, more than MAX_BLOCKS pages, or more than MAX_ALL in all), "chain-count" (a page
    that is empty or says it holds more than it can).
    """
    most = (geometry.page_size - _HEAD.size) // entry_size
    pages: dict[int, None] = {}
    entries: list[tuple[int, bytes]] = []
    at = first
    while at:
        if at % geometry.page_size:
            raise DecodeError("unaligned", at, "a block of a chain is not a page")
        if at in seen or len(pages) == MAX_BLOCKS or len(seen) == MAX_ALL:
            text = f"block {len(pages)} of a chain is reached twice, or there are too many"
            raise DecodeError("chain-cycle", at, text)
        seen.add(at)
        pages[at] = None
        raw = read_bytes(memory, at, geometry.page_size)
        following, count = _HEAD.unpack_from(raw)
        if not 0 < count <= most:
            text = f"a block of a chain with {count} entries, expected 1 to {most}"
            raise DecodeError("chain-count", at, text)
        for place in range(_HEAD.size, _HEAD.size + count * entry_size, entry_size):
            entries.append((at + place, raw[place : place + entry_size]))
        at = following
    return BlockChain(tuple(pages), tuple(entries))
