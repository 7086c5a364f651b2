# SPDX-License-Identifier: BSD-3-Clause
"""The tracker of kho-v1 (Linux 6.16 to 7.0): a list of chunks that name bitmaps.

A chunk is a page: u64 next, u32 order, u32 count, then {u64 first address, u64 bitmap}. A bitmap
had 512 bytes when the format appeared, and a page from 6.18 and 6.17.10 on, under the same name;
which it is follows from where the bitmaps lie.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from khorig.kho.blocks import Blocks
from khorig.kho.layout import Geometry
from khorig.kho.radix import MAX_BLOCKS, MAX_NODES, RadixNode, set_bits
from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.memory import PhysicalMemory, read_bytes

SMALL_BITMAP = 512  # bytes
_HEAD = struct.Struct("<QII")
_ENTRY = 16
_CHUNK_LEVEL, _BITMAP_LEVEL = 1, 0


@dataclass(frozen=True, eq=False)
class BitmapChunks:
    """What hangs from `preserved-memory-map`."""

    root: int
    geometry: Geometry
    bitmap_bytes: int
    nodes: tuple[RadixNode, ...]  # chunks have level 1, bitmaps level 0; the prefix is an address
    blocks: Blocks  # not checked against RAM
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Entry:
    order: int
    first: int
    bitmap: int


class _Reader:
    """One walk over a list that may be anything."""

    def __init__(self, memory: PhysicalMemory, geometry: Geometry) -> None:
        self.memory = memory
        self.geometry = geometry
        self.problems = Problems("node")
        self.nodes: list[RadixNode] = []
        self.entries: list[_Entry] = []
        self._seen: set[int] = set()
        pages = sum(r.size for r in memory.ranges) >> geometry.page_shift
        self._most = min(pages, MAX_BLOCKS)

    def chunks(self, root: int) -> None:
        at, pointer = root, root
        while at:
            if at % self.geometry.page_size:
                self.problems.add("unaligned", pointer, f"chunk at {at:#018x}, not a page")
                return
            if at in self._seen:
                self.problems.add("radix-cycle", pointer, f"chunk {at:#018x} is reached twice")
                return
            if len(self.entries) > MAX_NODES:
                self.problems.give_up("radix-size", at, f"more than {MAX_NODES} bitmaps")
                return
            self._seen.add(at)
            try:
                raw = read_bytes(self.memory, at, self.geometry.page_size)
            except DecodeError as error:
                self.problems.keep(error.problem)
                return
            pointer, at = at, self._chunk(at, raw)

    def _chunk(self, address: int, raw: bytes) -> int:
        following, order, count = _HEAD.unpack_from(raw)
        most = (len(raw) - _HEAD.size) // _ENTRY
        self.nodes.append(RadixNode(address, _CHUNK_LEVEL, order))
        if count > most:
            text = f"chunk with {count} bitmaps, at most {most}"
            self.problems.add("chunk-count", address, text)
        elif order > self.geometry.order_0_bit - self.geometry.bitmap_log2:
            self.problems.add("order-range", address, f"chunk of order {order}")
        else:
            pairs = struct.iter_unpack("<QQ", raw[_HEAD.size : _HEAD.size + count * _ENTRY])
            self.entries += [_Entry(order, first, bitmap) for first, bitmap in pairs]
        return int(following)

    def bitmap_bytes(self) -> int:
        """A small bitmap lies anywhere; a large one is a page, and covers eight times as much."""
        for entry in self.entries:
            covered = self.geometry.page_size << entry.order + self.geometry.bitmap_log2
            if entry.bitmap % self.geometry.page_size or entry.first % covered:
                return SMALL_BITMAP
        return self.geometry.page_size

    def blocks(self, size: int) -> Blocks:
        parts = [Blocks.of([])]
        count = 0
        for entry in self.entries:
            bits = self._bits(entry, size)
            count += len(bits)
            if count > self._most:
                text = f"more than {self._most} bits: as many pages as RAM has, or too many"
                self.problems.give_up("radix-size", entry.bitmap, text)
                break
            first = entry.first >> self.geometry.page_shift
            parts.append(Blocks(first + (bits << entry.order), np.full_like(bits, entry.order)))
        return Blocks(
            np.concatenate([p.frames for p in parts]), np.concatenate([p.orders for p in parts])
        )

    def _bits(self, entry: _Entry, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        none = np.empty(0, dtype=np.int64)
        if entry.bitmap in self._seen:
            text = f"bitmap {entry.bitmap:#018x} is reached twice"
            self.problems.add("radix-cycle", entry.bitmap, text)
            return none
        self._seen.add(entry.bitmap)
        if entry.first % (self.geometry.page_size << entry.order) or entry.first >> 52:
            text = f"bits from {entry.first:#018x} on, of order {entry.order}"
            self.problems.add("chunk-first", entry.bitmap, text)
            return none
        try:
            raw = self.memory.view(entry.bitmap, size)
        except DecodeError as error:
            self.problems.keep(error.problem)
            return none
        self.nodes.append(RadixNode(entry.bitmap, _BITMAP_LEVEL, entry.first))
        return set_bits(raw).astype(np.int64)


def decode_chunks(
    memory: PhysicalMemory,
    root: int,
    geometry: Geometry,
    taken: int | None = None,
) -> BitmapChunks:
    """Reads the whole list. Never raises for what is in memory, see `decode_radix`.

    Ids: "radix-null", "unaligned", "outside-ram", "radix-cycle", "radix-size", "chunk-count",
    "chunk-first", "order-range", "overlap".
    """
    reader = _Reader(memory, geometry)
    if root == 0:
        reader.problems.add("radix-null", 0, "the memory map pointer is 0")
    elif root == taken:
        reader.problems.add("overlap", root, "the memory map is the handover's root")
    else:
        reader.chunks(root)
    size = reader.bitmap_bytes()
    blocks = reader.blocks(size)
    problems = tuple(reader.problems.items)
    return BitmapChunks(root, geometry, size, tuple(reader.nodes), blocks, problems)
