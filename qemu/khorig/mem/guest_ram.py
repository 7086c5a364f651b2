# SPDX-License-Identifier: BSD-3-Clause
"""Guest-physical memory as the host sees it, and the sparse files that have it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Iterator, Sequence

from khorig.mem.errors import Error


Extent = tuple[int, int]  # offset, size


def holes_left_out(descriptor: int, end: int, begin: int = 0) -> Iterator[Extent]:
    """The extents between `begin` and `end` that a file's file system has bytes for."""
    at = begin
    while at < end:
        try:
            data = os.lseek(descriptor, at, os.SEEK_DATA)
            hole = min(end, os.lseek(descriptor, data, os.SEEK_HOLE))
        except OSError as error:
            if error.errno != errno.ENXIO:  # the file system cannot tell
                yield at, end - at
            return
        if data >= end:
            return
        yield data, hole - data
        at = hole


class SparseFiles:
    """Reads them by offset from the begin of the first. The descriptors are the caller's."""

    def __init__(self, files: Sequence[tuple[int, int]]) -> None:
        """`files`: (descriptor, bytes) in their order."""
        self._files = []
        self.size = 0
        for descriptor, size in files:
            self._files.append((descriptor, self.size, self.size + size))
            self.size += size

    def extents(self, begin: int = 0, end: int | None = None) -> Iterator[Extent]:
        """(offset, size) of what was ever written between two offsets; the rest is zeros."""
        for descriptor, first, last in self._files:
            low, high = max(begin, first), min(self.size if end is None else end, last)
            for at, size in holes_left_out(descriptor, high - first, low - first):
                yield at + first, size

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes, fewer behind the last file."""
        found = b""
        for descriptor, first, last in self._files:
            if first <= offset < last and size > 0:
                found += os.pread(descriptor, min(size, last - offset), offset - first)
                size -= last - offset
                offset = last
        return found


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
        self, buffer: memoryview, regions: Sequence[RamRegion], files: SparseFiles | None = None
    ) -> None:
        """`regions` lie inside `buffer` (else ValueError) and are given in ascending order. `files`
        are the backing files, where there are any."""
        self._buffer = buffer
        self._files = files
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
        if self._files is None:
            return True
        return next(self._files.extents(offset, offset + size), None) is not None

    def extents(self) -> list[tuple[int, int]]:
        """(guest-physical address, bytes) of all that was ever written, ascending; the rest reads
        as zeros. All RAM where there is no backing file to ask."""
        if self._files is None:
            return [(region.gpa, region.size) for region in self.regions]
        return [
            (begin - region.offset + region.gpa, size)
            for region in self.regions
            for begin, size in self._files.extents(region.offset, region.offset + region.size)
        ]

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
