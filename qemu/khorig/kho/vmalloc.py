# SPDX-License-Identifier: BSD-3-Clause
"""Lists of blocks in Linux's vmalloc form."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from khorig.kho.blocks import Blocks, Int64Array
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, read_bytes

STRUCT = struct.Struct("<QIHH")  # first, total_pages, flags, order


@dataclass(frozen=True, eq=False)
class Vmalloc:
    """A mapping made of blocks of one order."""

    geometry: Geometry  # of the kernel that wrote it
    first: int  # physical address of the first chunk page
    total_pages: int
    flags: int
    order: int
    chunks: tuple[int, ...]  # addresses of the chunk pages
    blocks: Blocks  # in the order of the mapping

    def __repr__(self) -> str:
        return f"<vmalloc at {self.first:#x}: {self.blocks!r} of order {self.order}>"


def _chunk(memory: PhysicalMemory, address: int, geometry: Geometry) -> tuple[int, Int64Array]:
    """The link to the next chunk, and the addresses before the first zero."""
    if address % geometry.page_size:
        raise DecodeError("unaligned", address, "a chunk of a list of blocks is not a page")
    words = np.frombuffer(memory.view(address, geometry.page_size), dtype="<u8")
    entries = words[1:]
    empty = np.flatnonzero(entries == 0)
    used = entries[: empty[0]] if len(empty) else entries
    if len(used) and int(used.max()) >> 63:
        raise DecodeError("outside-ram", address, f"a block at {int(used.max()):#018x}")
    return int(words[0]), used.astype(np.int64)


def decode_vmalloc(
    memory: PhysicalMemory, raw: bytes, where: int, geometry: Geometry, most: int
) -> Vmalloc:
    """Follows the chain that the 16 bytes of `raw` start; `where` is their fragment, for messages.
    Each block of a list is preserved by itself, so a list has `most` of them at most: as many as
    there are preserved blocks that no list before it had.

    Raises DecodeError: "property-size", "order-range", "vmalloc-chain" (a cycle, another number
    of pages than `total_pages`, too many blocks), "unaligned", "outside-ram", "overlap" (a block
    that is listed twice).
    """
    if len(raw) != STRUCT.size:
        raise DecodeError("property-size", where, f"a vmalloc has {len(raw)} bytes, not 16")
    first, total_pages, flags, order = STRUCT.unpack(raw)
    if order > geometry.order_0_bit - geometry.bitmap_log2:
        raise DecodeError("order-range", where, f"blocks of order {order}")
    if total_pages >> order > most:
        text = f"{total_pages >> order} blocks, but only {most} preserved ones that no list has"
        raise DecodeError("vmalloc-chain", first or where, text)
    chunks: dict[int, None] = {}  # in sequence
    parts: list[Int64Array] = [np.empty(0, dtype=np.int64)]
    # A full chunk may be followed by an empty one, as Linux writes it.
    most_chunks = (total_pages >> order) // geometry.chunk_entries + 1
    at = first
    while at:
        if at in chunks or len(chunks) == most_chunks:
            text = f"chunk {len(chunks)} of {most_chunks} at most for {total_pages} pages"
            raise DecodeError("vmalloc-chain", at, text)
        chunks[at] = None
        at, addresses = _chunk(memory, at, geometry)
        parts.append(addresses)
    addresses = np.concatenate(parts)
    if len(addresses) << order != total_pages:
        raise DecodeError(
            "vmalloc-chain",
            first or where,
            f"{len(addresses)} blocks of order {order}, expected {total_pages} pages",
        )
    stray = np.flatnonzero(addresses & ((geometry.page_size << order) - 1))
    if len(stray):
        raise DecodeError(
            "unaligned",
            int(addresses[stray[0]]),
            f"block {stray[0]} of a list is not aligned to order {order}",
        )
    blocks = Blocks(addresses >> geometry.page_shift, np.full(len(addresses), order, np.int64))
    _check_blocks(memory, blocks, where, geometry)
    return Vmalloc(geometry, first, total_pages, flags, order, tuple(chunks), blocks)


def read_listed(memory: PhysicalMemory, vmalloc: Vmalloc, size: int) -> bytes:
    """The first `size` bytes of what is mapped, or as many as there are. No more is read: blocks
    may be larger than all that is wanted. Raises OutsideRam."""
    geometry = vmalloc.geometry
    block = geometry.page_size << vmalloc.order
    pieces = []
    for frame in vmalloc.blocks.frames[: -(-size // block)].tolist():
        pieces.append(read_bytes(memory, frame << geometry.page_shift, min(block, size)))
        size -= len(pieces[-1])
    return b"".join(pieces)


def _check_blocks(memory: PhysicalMemory, blocks: Blocks, where: int, geometry: Geometry) -> None:
    outside = blocks.select(~blocks.inside(memory.ranges, geometry.page_shift))
    if len(outside):
        at = int(outside.frames[0]) << geometry.page_shift
        raise DecodeError("outside-ram", at, f"a block of a list, {len(outside)} in all")
    twice = blocks.select(blocks.overlapping())
    if len(twice):
        at = int(twice.frames[0]) << geometry.page_shift
        text = f"a block is listed twice by the fragment at {where:#018x}"
        raise DecodeError("overlap", at, text)
