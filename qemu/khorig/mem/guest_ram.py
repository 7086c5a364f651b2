# SPDX-License-Identifier: BSD-3-Clause
"""Guest-physical memory as the host sees it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Sequence

from khorig.mem.errors import Error


@dataclass(frozen=True, slots=True)
class RamRegion:
    """A run of guest RAM that is contiguous both in the guest and in the backing file; bytes."""

    gpa: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        """The first guest-physical address after the region."""
        return self.gpa + self.size


class OutsideGuestRam(Error):
    """A range that is not wholly inside one region of guest RAM."""

    def __init__(self, gpa: int, size: int) -> None:
        super().__init__(f"{gpa:#018x}+{size:#x} is not inside guest RAM")
        self.gpa = gpa
        self.size = size


class GuestRam:
    """Guest RAM by guest-physical address, bounds-checked.

    Works on any buffer that supports memoryview: the mapped backing file of a running machine, or a
    bytearray in tests. While the guest runs reads are racy; at a stop they are not. On x86 the
    firmware's ROM shadow (0xc0000 to 0xfffff) is not in the file.
    """

    def __init__(
        self, buffer: memoryview, regions: Sequence[RamRegion], file: int | None = None
    ) -> None:
        """`regions` lie inside `buffer` (else ValueError) and are given in ascending order. `file`
        is a descriptor of the backing file, where there is one."""
        self._buffer = buffer
        self._file = file
        self.regions: tuple[RamRegion, ...] = tuple(regions)
        for region in self.regions:
            if region.offset < 0 or region.offset + region.size > len(buffer):
                raise ValueError(f"{region} lies outside the buffer of {len(buffer)} bytes")

    @property
    def size(self) -> int:
        """All RAM of the guest, in bytes."""
        return sum(region.size for region in self.regions)

    def offset(self, gpa: int, size: int = 1) -> int:
        """Offset in the backing file of a range. Raises OutsideGuestRam."""
        if size >= 0:
            for region in self.regions:
                if region.gpa <= gpa and gpa + size <= region.end:
                    return gpa - region.gpa + region.offset
        raise OutsideGuestRam(gpa, size)

    def contains(self, gpa: int, size: int = 1) -> bool:
        """Whether a range is wholly inside one region."""
        return any(r.gpa <= gpa and gpa + size <= r.end for r in self.regions if size >= 0)

    def written(self, gpa: int, size: int) -> bool:
        """Whether any of a range may have been written: reading a page that was not would give it
        memory. Raises OutsideGuestRam."""
        offset = self.offset(gpa, size)
        if self._file is None:
            return True
        try:
            return os.lseek(self._file, offset, os.SEEK_DATA) < offset + size
        except OSError:  # ENXIO: nothing but a hole follows
            return False

    def extents(self) -> list[tuple[int, int]]:
        """(guest-physical address, bytes) of all that was ever written, ascending; the rest reads
        as zeros. All RAM where there is no backing file to ask."""
        if self._file is None:
            return [(region.gpa, region.size) for region in self.regions]
        found = []
        for region in self.regions:
            at, end = region.offset, region.offset + region.size
            while at < end:
                try:
                    begin = os.lseek(self._file, at, os.SEEK_DATA)
                except OSError:  # ENXIO: nothing but a hole follows
                    break
                at = min(os.lseek(self._file, begin, os.SEEK_HOLE), end)
                if begin < at:
                    found.append((begin - region.offset + region.gpa, at - begin))
        return found

    def view(self, gpa: int, size: int) -> memoryview:
        """The live bytes of a range, not copied. Release it before the run ends: a view that is
        kept would keep the guest's memory. Raises OutsideGuestRam."""
        offset = self.offset(gpa, size)
        return self._buffer[offset : offset + size]

    def read(self, gpa: int, size: int) -> bytes:
        """A copy of a range. Raises OutsideGuestRam."""
        with self.view(gpa, size) as view:
            return bytes(view)

    def read_u64(self, gpa: int) -> int:
        """A little-endian 64-bit word. Raises OutsideGuestRam."""
        return int.from_bytes(self.read(gpa, 8), "little")

    def write(self, gpa: int, data: bytes) -> None:
        """Overwrites a range; only while the guest waits at a stop. Raises OutsideGuestRam."""
        with self.view(gpa, len(data)) as view:
            view[:] = data

    def close(self) -> None:
        """Drops the buffer; every later access raises."""
        self._buffer.release()
