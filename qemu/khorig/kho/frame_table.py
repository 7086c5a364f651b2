# SPDX-License-Identifier: BSD-3-Clause
"""The page allocator's own view of memory: one byte per page frame (khocore/frame_table.h)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Int64Array
from khorig.mem.memory import PhysicalMemory

TAIL = 31  # in the order bits of a frame that is not the first of its block
_ORDER_BITS = 0x1F
_STATE_SHIFT = 5
_SCRATCH_BIT = 0x80


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


# Which bits of an entry tell the state, and what they are for a frame that is in use.
FRAME_STATE_MASK = 3 << _STATE_SHIFT
FRAME_ALLOCATED_BITS = int(FrameState.ALLOCATED) << _STATE_SHIFT


def frame_byte(state: FrameState, order: int | None) -> int:
    """The byte of a frame outside scratch; `order` None for a frame inside a block."""
    return int(state) << _STATE_SHIFT | (TAIL if order is None else order)


@dataclass(frozen=True, eq=False)
class FrameTable:
    """A copy of the table."""

    first: int  # number of the first frame
    entries: npt.NDArray[np.uint8]

    def covers(self, frames: Int64Array) -> npt.NDArray[np.bool_]:
        """Which frames are in the table."""
        return (frames >= self.first) & (frames < self.first + len(self.entries))

    def bytes_of(self, frames: Int64Array) -> npt.NDArray[np.uint8]:
        """The entries of some frames; 0, not RAM, for those outside the table."""
        found = np.zeros(len(frames), dtype=np.uint8)
        covered = self.covers(frames)
        found[covered] = self.entries[frames[covered] - self.first]
        return found

    def ram_pages(self, first: int, last: int) -> int:
        """How many frames from `first` up to `last`, which is not one of them, are RAM."""
        begin, end = max(first - self.first, 0), max(last - self.first, 0)
        states = self.entries[begin:end] & FRAME_STATE_MASK
        return int(np.count_nonzero(states))

    def at(self, frame: int) -> FrameByte:
        """The entry of one frame; not RAM outside the table."""
        index = frame - self.first
        inside = 0 <= index < len(self.entries)
        return FrameByte(int(self.entries[index]) if inside else 0)


def read_frame_table(memory: PhysicalMemory, address: int, first: int, count: int) -> FrameTable:
    """Copies the table of `count` frames from frame number `first` on. Raises OutsideRam."""
    with memory.view(address, count) as view:
        return FrameTable(first, np.frombuffer(bytes(view), dtype=np.uint8))
