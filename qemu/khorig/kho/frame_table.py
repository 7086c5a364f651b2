# SPDX-License-Identifier: BSD-3-Clause
"""The page allocator's own view of memory: a byte for each page frame (khocore/frame_table.h)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Int64Array
from khorig.kho.layout import Geometry
from khorig.mem.memory import PhysicalMemory, read_bytes

TAIL = 31  # in the order bits of a frame that is not the first of its block
_ORDER_BITS = 0x1F
_STATE_SHIFT = 5
_STATE_MASK = 3
_SCRATCH_BIT = 0x80

CHUNK_HAS_BYTES = 0x9F  # no frame's byte: scratch that is no RAM


class FrameState(enum.IntEnum):
    """What a frame is used for."""

    NOT_RAM = 0
    FREE = 1
    ALLOCATED = 2
    PRESERVED = 3  # handed over and not yet restored


@dataclass(frozen=True)
class FrameByte:
    """One entry of the table."""

    raw: int

    @property
    def state(self) -> FrameState:
        """Bits 5 and 6."""
        return FrameState(self.raw >> _STATE_SHIFT & 3)

    @property
    def order(self) -> int | None:
        """Bits 0 to 4; None for a frame inside a block."""
        order = self.raw & _ORDER_BITS
        return None if order == TAIL else order

    @property
    def in_scratch(self) -> bool:
        """Bit 7."""
        return bool(self.raw & _SCRATCH_BIT)

    def __str__(self) -> str:
        place = "tail" if self.order is None else f"head of order {self.order}"
        scratch = ", scratch" if self.in_scratch else ""
        return f"{self.state.name.lower().replace('_', ' ')} {place}{scratch} ({self.raw:#04x})"


def frame_byte(state: FrameState, order: int | None) -> int:
    """The byte of a frame outside scratch; `order` None for a frame inside a block."""
    return int(state) << _STATE_SHIFT | (TAIL if order is None else order)


@dataclass(frozen=True, eq=False)
class FrameTable:
    """A copy of the table. Frames come in aligned chunks; a chunk whose frames differ has bytes of
    its own, of any other one byte tells all."""

    first: int  # number of the first frame
    count: int
    chunks: npt.NDArray[np.uint8]  # of each chunk, the byte of its first frame or CHUNK_HAS_BYTES
    places: Int64Array  # of each chunk, its place in `bytes` where it has bytes
    bytes: npt.NDArray[np.uint8]  # the frames of a chunk in a row: as many as a page has bytes

    @property
    def chunk_frames(self) -> int:
        """Frames of a chunk."""
        return int(self.bytes.shape[1])

    def covers(self, frames: Int64Array) -> npt.NDArray[np.bool_]:
        """Which frames are in the table."""
        return (frames >= self.first) & (frames < self.first + self.count)

    def states(self, frames: Int64Array) -> npt.NDArray[np.uint8]:
        """The byte of each frame, 0 (no RAM) outside the table."""
        found = np.zeros(len(frames), dtype=np.uint8)
        covered, size = self.covers(frames), self.chunk_frames
        index = frames[covered] - self.first // size * size
        chunk, offset = index // size, index % size
        states = self.chunks[chunk]
        own = states == CHUNK_HAS_BYTES
        states[~own & (offset != 0)] |= TAIL
        states[own] = self.bytes[self.places[chunk[own]], offset[own]]
        found[covered] = states
        return found

    def ram_pages(self, first: int, last: int) -> int:
        """How many frames from `first` up to `last`, which is not one of them, are RAM. Costs what
        there are chunks."""
        first, last = max(first, self.first), min(last, self.first + self.count)
        if first >= last:
            return 0
        size = self.chunk_frames
        base = self.first // size * size
        low, high = (first - base) // size, -(-(last - base) // size)
        begins = base + np.arange(low, high, dtype=np.int64) * size
        starts, ends = np.maximum(begins, first), np.minimum(begins + size, last)
        chunks = self.chunks[low:high]
        mixed = chunks == CHUNK_HAS_BYTES
        is_ram = ~mixed & ((chunks >> _STATE_SHIFT & _STATE_MASK) != FrameState.NOT_RAM)
        total = int((ends - starts)[is_ram].sum())
        for at in np.flatnonzero(mixed).tolist():
            row = self.bytes[self.places[low + at]]
            part = row[int(starts[at] - begins[at]) : int(ends[at] - begins[at])]
            total += int(np.count_nonzero(part >> _STATE_SHIFT & _STATE_MASK))
        return total

    def at(self, frame: int) -> FrameByte:
        """The byte of one frame."""
        return FrameByte(int(self.states(np.array([frame], dtype=np.int64))[0]))

    def every(self) -> Int64Array:
        """The number of every frame in the table."""
        return np.arange(self.first, self.first + self.count, dtype=np.int64)

    def frames_in(self, state: FrameState) -> Int64Array:
        """The frames in a state, ascending."""
        mixed, size = self.chunks == CHUNK_HAS_BYTES, self.chunk_frames
        wanted = np.flatnonzero(mixed | (self.chunks >> _STATE_SHIFT & _STATE_MASK == state))
        begin = (self.first // size + wanted) * size
        frames = (begin[:, np.newaxis] + np.arange(size, dtype=np.int64)).ravel()
        frames = frames[self.covers(frames)]
        found: Int64Array = frames[self.states(frames) >> _STATE_SHIFT & _STATE_MASK == state]
        return found


def read_frame_table(
    memory: PhysicalMemory, address: int, first: int, count: int, geometry: Geometry
) -> FrameTable:
    """Copies the table of `count` frames from frame number `first` on, whose directory lies at
    `address`: a byte per chunk, rounded up to 8, and a u64 per chunk, the address of the chunk's
    own bytes if it has any. Raises OutsideRam."""
    size = geometry.page_size  # a page of bytes tells of as many frames
    chunks = -(-(first % size + count) // size)
    offset = -(-chunks // 8) * 8
    directory = read_bytes(memory, address, offset + 8 * chunks)
    kinds = np.frombuffer(directory, dtype=np.uint8, count=chunks)
    addresses = np.frombuffer(directory, dtype="<u8", count=chunks, offset=offset)
    own = np.flatnonzero(kinds == CHUNK_HAS_BYTES)
    places = np.zeros(chunks, dtype=np.int64)
    places[own] = np.arange(len(own))
    rows = [read_bytes(memory, int(addresses[chunk]), size) for chunk in own.tolist()]
    table = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, size)
    return FrameTable(first, count, kinds, places, table)
