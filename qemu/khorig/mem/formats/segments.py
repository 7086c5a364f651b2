# SPDX-License-Identifier: BSD-3-Clause
"""Memory that lies in a source in pieces."""

from __future__ import annotations

from bisect import bisect_right
from typing import Iterable, Iterator, Sequence

from khorig.mem.formats.source import Source
from khorig.mem.guest_ram import RamRegion
from khorig.mem.memory import LeftOut, OutsideRam, PhysRange, range_at

MAX_SEGMENTS = 1 << 18  # makedumpfile -E cuts the memory of a server into some 100,000
_MAX_ADDRESS = 1 << 52  # what the architectures can address
_NOWHERE = RamRegion(0, 0, 0)


class SegmentedMemory:
    """Physical memory whose regions lie at offsets of a source."""

    def __init__(
        self, source: Source, regions: Iterable[RamRegion], left_out: Sequence[PhysRange] = ()
    ) -> None:
        """Regions may overlap: the first by address has a byte. `left_out` is RAM, too; what of it
        no region covers the source does not have. Raises ValueError for a region that is not inside
        the source, or has no address, and when there are too many."""
        self._source = source
        self._regions: list[RamRegion] = []
        reach = 0
        for region in sorted(regions, key=lambda r: (r.gpa, -r.size)):
            if region.size < 0 or region.gpa < 0 or region.end > _MAX_ADDRESS:
                raise ValueError(
                    f"invalid range of memory: {region.size:#x} bytes at {region.gpa:#x}"
                )
            if region.offset < 0 or region.offset + region.size > source.size:
                raise ValueError(
                    f"file too short: {region.size:#x} bytes of memory at {region.gpa:#x} expected "
                    f"at {region.offset:#x}, it ends at {source.size:#x}"
                )
            skip = max(0, reach - region.gpa)
            if skip < region.size:
                reach = region.end
                self._regions.append(
                    RamRegion(region.gpa + skip, region.size - skip, region.offset + skip)
                )
        self._begins = [r.gpa for r in self._regions]
        ram = [PhysRange(r.gpa, r.size) for r in self._regions]
        self._ranges = tuple(merged(_disjoint([*ram, *left_out]) if left_out else ram))
        if (count := max(len(ram), len(self._ranges))) > MAX_SEGMENTS:
            raise ValueError(f"memory in {count} ranges, at most {MAX_SEGMENTS}")

    @property
    def ranges(self) -> Sequence[PhysRange]:
        """See PhysicalMemory."""
        return self._ranges

    @property
    def regions(self) -> Sequence[RamRegion]:
        """Where the memory lies in the source."""
        return self._regions

    def view(self, address: int, size: int) -> memoryview:
        """See PhysicalMemory. A range over two regions is a copy."""
        at = bisect_right(self._begins, address) - 1
        if at >= 0 and size >= 0 and address + size <= self._regions[at].end:
            return self._bytes(self._regions[at], address, size)
        if size < 0 or not range_at(self._ranges, address).contains(address, size):
            raise OutsideRam(address, size)
        pieces = []
        end = address + size
        while address < end:
            region = self._regions[at] if 0 <= at < len(self._regions) else _NOWHERE
            count = min(end, region.end) - address
            if count <= 0 or address < region.gpa:
                raise LeftOut(address, end - address)
            pieces.append(bytes(self._bytes(region, address, count)))
            address += count
            at += 1
        return memoryview(b"".join(pieces))

    def _bytes(self, region: RamRegion, address: int, size: int) -> memoryview:
        try:
            return self._source.view(address - region.gpa + region.offset, size)
        except ValueError as error:
            raise OutsideRam(address, size) from error

    def data(self) -> Sequence[PhysRange]:
        """See DumpMemory."""
        extents = list(self._source.extents())
        ends = [offset + size for offset, size in extents]
        found = []
        for region in self._regions:
            limit = region.offset + region.size
            for offset, size in extents[bisect_right(ends, region.offset) :]:
                if offset >= limit:
                    break
                begin = max(offset, region.offset)
                end = min(offset + size, limit)
                found.append(PhysRange(begin - region.offset + region.gpa, end - begin))
        return list(merged(sorted(found)))

    def left_out(self) -> Sequence[PhysRange]:
        """See DumpMemory."""
        found = []
        at = 0
        for r in self._ranges:
            begin = r.begin
            while at < len(self._regions) and self._regions[at].gpa < r.end:
                found.append(PhysRange(begin, self._regions[at].gpa - begin))
                begin = self._regions[at].end
                at += 1
            found.append(PhysRange(begin, r.end - begin))
        return merged(found)

    def forget(self) -> None:
        """See DumpMemory."""
        self._source.forget()

    def close(self) -> None:
        """See DumpMemory."""
        self._source.close()


def _disjoint(ranges: Iterable[PhysRange]) -> Iterator[PhysRange]:
    """What the ranges cover, ascending, each byte once. Raises ValueError for an end that no
    architecture can address."""
    reach = 0
    for r in sorted(ranges):
        if r.end > _MAX_ADDRESS:
            raise ValueError(f"invalid range of memory: {r.size:#x} bytes at {r.begin:#x}")
        begin = max(r.begin, reach)
        if begin < r.end:
            reach = r.end
            yield PhysRange(begin, reach - begin)


def merged(ranges: Iterable[PhysRange]) -> list[PhysRange]:
    """Ascending disjoint ranges, those that touch made one."""
    result: list[PhysRange] = []
    for r in ranges:
        if result and result[-1].end == r.begin:
            result[-1] = PhysRange(result[-1].begin, result[-1].size + r.size)
        elif r.size:
            result.append(r)
    return result
