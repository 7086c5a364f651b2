# SPDX-License-Identifier: BSD-3-Clause
"""Physical memory as the decoder reads it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol, Sequence

from khorig.mem.errors import DecodeError
from khorig.mem.guest_ram import GuestRam, OutsideGuestRam


@dataclass(frozen=True, order=True, slots=True)
class PhysRange:
    """`size` bytes from `begin`. Python's integers do not wrap, so neither does a range."""

    begin: int
    size: int

    @property
    def end(self) -> int:
        """The first address after the range."""
        return self.begin + self.size

    def contains(self, begin: int, size: int) -> bool:
        """Whether all of another range lies inside."""
        return self.begin <= begin and begin + size <= self.end

    def overlaps(self, begin: int, size: int) -> bool:
        """Whether the two share a byte; an empty range shares none."""
        return max(self.begin, begin) < min(self.end, begin + size)

    def __repr__(self) -> str:
        return f"<{self.begin:#x}-{self.end:#x}>"

    def __str__(self) -> str:
        return f"[{self.begin:#018x}, {self.end:#018x})"


_NOWHERE = PhysRange(-1, 0)


def range_at(ranges: Sequence[PhysRange], address: int) -> PhysRange:
    """Of ascending disjoint ranges the last that begins at or before an address; before the first
    one that contains nothing. Takes logarithmic time."""
    at = bisect_right(ranges, address, key=lambda r: r.begin)
    return ranges[at - 1] if at else _NOWHERE


class OutsideRam(DecodeError):
    """A range that is not wholly inside RAM; its id is "outside-ram"."""

    def __init__(
        self, address: int, size: int, id: str = "outside-ram", why: str = "are not inside RAM"
    ) -> None:
        super().__init__(id, address, f"{size:#x} bytes {why}")
        self.size = size


class LeftOut(OutsideRam):
    """A range of RAM of which whoever wrote the dump left out pages; its id is "left-out"."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(address, size, "left-out", "were left out of the dump, wholly or in part")


class PhysicalMemory(Protocol):
    """Memory by physical address, with holes: a live guest, a dump, or bytes of a test."""

    @property
    def ranges(self) -> Sequence[PhysRange]:
        """What is RAM: ascending, disjoint, not adjacent."""

    def view(self, address: int, size: int) -> memoryview:
        """The bytes of a range inside one of `ranges`, live or copied. Raises OutsideRam. Views
        must be dropped before the memory goes away."""


class RamMemory:
    """The RAM of a guest."""

    def __init__(self, ram: GuestRam) -> None:
        """`ram` outlives the object."""
        self._ram = ram
        merged: list[PhysRange] = []
        for region in ram.regions:
            if merged and merged[-1].end == region.gpa:
                merged[-1] = PhysRange(merged[-1].begin, merged[-1].size + region.size)
            elif region.size:
                merged.append(PhysRange(region.gpa, region.size))
        self._ranges = tuple(merged)

    @property
    def ranges(self) -> Sequence[PhysRange]:
        """See PhysicalMemory."""
        return self._ranges

    def view(self, address: int, size: int) -> memoryview:
        """See PhysicalMemory. A range over two regions of the backing file is a copy."""
        try:
            return self._ram.view(address, size)
        except OutsideGuestRam:
            pass
        if size < 0 or not range_at(self._ranges, address).contains(address, size):
            raise OutsideRam(address, size)
        return memoryview(self._copy(address, size))

    def data(self) -> Sequence[PhysRange]:
        """The parts of `ranges` that were ever written; all others read as zeros."""
        return [PhysRange(begin, size) for begin, size in self._ram.extents()]

    def left_out(self) -> Sequence[PhysRange]:
        """A machine has all of its RAM."""
        return ()

    def forget(self) -> None:
        """Nothing is kept to answer `view`."""

    def close(self) -> None:
        """The RAM belongs to its machine."""

    def _copy(self, address: int, size: int) -> bytes:
        pieces = []
        for region in self._ram.regions:
            begin = max(region.gpa, address)
            end = min(region.end, address + size)
            if begin < end:
                pieces.append(self._ram.read(begin, end - begin))
        return b"".join(pieces)


def read_bytes(memory: PhysicalMemory, address: int, size: int) -> bytes:
    """A copy of a range. Raises OutsideRam."""
    with memory.view(address, size) as view:
        return bytes(view)
