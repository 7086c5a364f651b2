# SPDX-License-Identifier: BSD-3-Clause
"""kdump-compressed files (makedumpfile, QEMU's dump-guest-memory -z).

Read here and not with libkdumpfile, so that a damaged file ends in an error and never in a crash.
The layout is that of makedumpfile's diskdump_mod.h.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Iterator, NamedTuple, Sequence

import numpy as np
import numpy.typing as npt

from khorig.mem.formats.elf_core import printable
from khorig.mem.formats.page_packing import PACKED, PageUnpacker
from khorig.mem.formats.segments import MAX_SEGMENTS, merged
from khorig.mem.formats.source import Source
from khorig.mem.memory import LeftOut, OutsideRam, PhysRange, range_at

MAGIC = b"KDUMP   "
_HEADER = struct.Struct("<8sI390s22sIIIII")  # up to max_mapnr
_SUB_HEADER = struct.Struct("<QIIQQQQQQQQQQQ")  # of header versions 6 and later
_MAX_SMALL = 1 << 20  # bytes of what is read as a whole
_MACHINE_FIELD = 65  # bytes of each of the six fields of utsname
_DESCRIPTOR = np.dtype([("offset", "<u8"), ("size", "<u4"), ("flags", "<u4"), ("page", "<u8")])
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
_UNNAMED = ("", "Unknown")  # the second is QEMU's for arm64 (ELF_MACHINE_UNAME)
_ONLY_ZEROS = 1  # dump level: nothing is left out but pages of zeros
_MAX_PAGES = 1 << 28  # 1 TiB of 4 KiB pages
_CACHED = 1024  # pages kept unpacked
_TOGETHER = 64  # pages from which on they are not kept
_RANK_BYTES = 64  # of the bitmap, between two known ranks
_SCAN_BYTES = 1 << 20  # of a bitmap
_SCAN_PAGES = 1 << 18
_MAX_PIECES = 1 << 18  # that are told apart: each costs a few hundred bytes


class _SubHeader(NamedTuple):
    """struct kdump_sub_header."""

    phys_base: int
    dump_level: int  # which pages were left out
    split: int  # whether the rest is in other files
    first_page_32: int
    end_page_32: int
    vmcoreinfo_at: int
    vmcoreinfo_size: int
    notes_at: int
    notes_size: int
    erased_at: int
    erased_size: int
    first_page: int
    end_page: int
    pages: int


class KdumpMemory:
    """Memory whose pages are packed one by one."""

    def __init__(self, source: Source) -> None:
        """Takes `source` over. Raises ValueError when it is damaged."""
        self._source = source
        header = _HEADER.unpack(source.view(0, _HEADER.size))
        _, version, names, _, _, block, sub_blocks, bitmap_blocks, pages = header
        fields = [names[i : i + _MACHINE_FIELD].split(b"\0")[0] for i in range(0, 390, 65)]
        # First of all: what follows the names lies elsewhere where words have 32 bits.
        machine = printable(fields[4])
        self.arch = _ARCHITECTURES.get(machine)
        if machine not in _UNNAMED and self.arch is None:
            raise ValueError(f"kdump of machine {machine}: only x86_64 and arm64 can be read")
        if block not in (4096, 16384, 65536) or not sub_blocks or version < 3:
            raise ValueError(f"kdump version {version} with blocks of {block} bytes")
        self.page_shift = block.bit_length() - 1
        self._page_size: int = block
        self._unpacker = PageUnpacker(block)
        self.release = printable(fields[2])
        facts = self._sub_header()
        if facts.split:
            raise ValueError(
                "part of a split dump: join the parts with `makedumpfile --reassemble`"
            )
        if version >= 6 and facts.pages:
            pages = facts.pages
        if not 0 < pages <= _MAX_PAGES:
            raise ValueError(f"kdump of {pages} pages, expected 1 to {_MAX_PAGES}")
        self._pages = pages
        bitmaps_at = (1 + sub_blocks) * block
        half = bitmap_blocks * block // 2
        if half * 8 < pages:
            raise ValueError(f"kdump with bitmaps of {half} bytes for {pages} pages")
        size = (pages + 7) // 8
        self._ram = source.view(bitmaps_at, size)
        self._dumped = source.view(bitmaps_at + half, size)
        self._ranks = _ranks(self._dumped)
        self._table_at = bitmaps_at + bitmap_blocks * block
        self._gaps_are_zero = facts.dump_level in (0, _ONLY_ZEROS)
        self._ranges = tuple(self._runs(self._ram))
        self._cache: OrderedDict[int, bytes] = OrderedDict()

    def _sub_header(self) -> _SubHeader:
        view = self._source.view(self._page_size, _SUB_HEADER.size)
        return _SubHeader(*_SUB_HEADER.unpack(view))

    def vmcoreinfo(self) -> bytes:
        """Linux's description of itself, empty when there is none."""
        facts = self._sub_header()
        return self._small(facts.vmcoreinfo_at, facts.vmcoreinfo_size)

    def notes(self) -> memoryview:
        """The notes of the ELF core that it was made of, empty when there are none."""
        facts = self._sub_header()
        return memoryview(self._small(facts.notes_at, facts.notes_size))

    def _small(self, offset: int, size: int) -> bytes:
        return bytes(self._source.view(offset, size)) if 0 < size <= _MAX_SMALL else b""

    @property
    def ranges(self) -> Sequence[PhysRange]:
        """See PhysicalMemory."""
        return self._ranges

    def view(self, address: int, size: int) -> memoryview:
        """See PhysicalMemory. Always a copy. Raises LeftOut for a page that was left out of the
        dump, OutsideRam also for one whose bytes are damaged."""
        if size < 0 or not range_at(self._ranges, address).contains(address, size):
            raise OutsideRam(address, size)
        first, offset = divmod(address, self._page_size)
        last = address + max(size, 1) - 1 >> self.page_shift
        if first == last:
            return memoryview(self._page(first))[offset : offset + size]
        pages = self._pages_together(first, last + 1 - first)
        return memoryview(b"".join(pages))[offset : offset + size]

    def _pages_together(self, first: int, count: int) -> list[bytes | memoryview]:
        """As `_page` for many, without keeping them: whoever looks at much looks once."""
        entries = self._entries(first, count)
        if count < _TOGETHER or entries is None:
            return [self._page(frame) for frame in range(first, first + count)]
        try:
            return list(self._contents(entries))
        except ValueError as error:
            raise OutsideRam(first << self.page_shift, count << self.page_shift) from error

    def _contents(self, entries: npt.NDArray[np.void]) -> Iterator[bytes | memoryview]:
        """The pages of some descriptors. Those that are not packed and lie one behind the other
        come as one piece."""
        size = self._page_size
        plain = (entries["size"] == size) & (entries["flags"] & PACKED == 0)
        follows = np.zeros(len(entries), dtype=np.bool_)
        offsets = entries["offset"]
        follows[1:] = plain[1:] & plain[:-1] & (offsets[1:] == offsets[:-1] + np.uint64(size))
        starts = np.flatnonzero(~follows)
        counts = np.diff(starts, append=len(entries)).tolist()
        fields = (entries[name][starts].tolist() for name in ("offset", "size", "flags"))
        for is_plain, count, offset, length, flags in zip(plain[starts].tolist(), counts, *fields):
            if is_plain:
                yield self._source.view(offset, count * size)
            else:
                yield self._content(offset, length, flags)

    def _entries(self, first: int, count: int) -> npt.NDArray[np.void] | None:
        """The descriptors of pages, or None when not all of them are in the dump."""
        begin, end = first >> 3, first + count + 7 >> 3
        bits = np.unpackbits(np.frombuffer(self._dumped[begin:end], np.uint8), bitorder="little")
        if not bits[first - begin * 8 :][:count].all():
            return None
        size = _DESCRIPTOR.itemsize
        try:
            view = self._source.view(self._table_at + self._rank(first) * size, count * size)
        except ValueError:
            return None
        return np.frombuffer(view, dtype=_DESCRIPTOR)

    def _page(self, frame: int) -> bytes:
        if content := self._cache.get(frame):
            self._cache.move_to_end(frame)
            return content
        if not self._dumped[frame >> 3] >> (frame & 7) & 1:
            if self._gaps_are_zero:
                return bytes(self._page_size)
            raise LeftOut(frame << self.page_shift, self._page_size)
        try:
            content = self._unpack(frame)
        except ValueError as error:
            raise OutsideRam(frame << self.page_shift, self._page_size) from error
        self._cache[frame] = content
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return content

    def _rank(self, frame: int) -> int:
        """How many pages before a page are in the dump."""
        known = frame // 8 // _RANK_BYTES
        before = self._dumped[known * _RANK_BYTES : (frame >> 3) + 1]
        bits = int.from_bytes(before, "little") & (1 << (frame - known * _RANK_BYTES * 8)) - 1
        return int(self._ranks[known]) + bits.bit_count()

    def _unpack(self, frame: int) -> bytes:
        at = self._table_at + self._rank(frame) * _DESCRIPTOR.itemsize
        entry = np.frombuffer(self._source.view(at, _DESCRIPTOR.itemsize), _DESCRIPTOR)[0]
        return self._content(int(entry["offset"]), int(entry["size"]), int(entry["flags"]))

    def _content(self, offset: int, size: int, flags: int) -> bytes:
        if size > self._page_size:
            raise ValueError(f"{size} bytes packed")
        return self._unpacker.unpack(self._source.view(offset, size), flags)

    def unreadable(self) -> str | None:
        """Why the first page of the dump cannot be unpacked, or None when it can."""
        for r in self._runs(self._dumped):
            try:
                self._unpack(r.begin >> self.page_shift)
            except ValueError as error:
                return f"page {r.begin:#x}: {error}"
            break
        return None

    def _runs(self, bitmap: memoryview) -> Iterator[PhysRange]:
        """The ranges of pages whose bit is set. Raises ValueError for too many."""
        begin, last, count = -1, 0, 0
        for at in range(0, len(bitmap), _SCAN_BYTES):
            content = np.frombuffer(bitmap[at : at + _SCAN_BYTES], dtype=np.uint8)
            for edge in _edges(content, last)[: 2 * MAX_SEGMENTS + 2].tolist():
                frame = min(edge + at * 8, self._pages)
                if begin < 0:
                    begin = frame
                    continue
                yield PhysRange(begin << self.page_shift, frame - begin << self.page_shift)
                begin, count = -1, count + 1
                if count > MAX_SEGMENTS:
                    raise ValueError(f"memory in more than {MAX_SEGMENTS} pieces")
            last = int(content[-1]) >> 7
        if 0 <= begin < self._pages:
            yield PhysRange(begin << self.page_shift, self._pages - begin << self.page_shift)

    def data(self) -> Sequence[PhysRange]:
        """See DumpMemory. Pages of zeros, which all have one place in the file, are left out. All
        of memory when the dump has it in too many pieces, or is damaged."""
        found: list[PhysRange] = []
        rank, zeros = 0, None
        for at in range(0, len(self._dumped), _SCAN_PAGES >> 3):
            content = np.frombuffer(self._dumped[at : at + (_SCAN_PAGES >> 3)], dtype=np.uint8)
            frames = np.flatnonzero(np.unpackbits(content, bitorder="little")) + at * 8
            frames = frames[frames < self._pages]
            if not len(frames):
                continue
            size = _DESCRIPTOR.itemsize
            try:
                table = self._source.view(self._table_at + rank * size, len(frames) * size)
            except ValueError:
                return self._ranges
            offsets = np.frombuffer(table, dtype=_DESCRIPTOR)["offset"]
            if zeros is None:
                zeros = self._place_of_zeros(frames, offsets)
            rank += len(frames)
            found += self._pieces(frames[offsets != zeros] if zeros is not None else frames)
            if len(found) > _MAX_PIECES:
                return self._ranges
        return merged(found)

    def left_out(self) -> Sequence[PhysRange]:
        """See DumpMemory."""
        if self._gaps_are_zero:
            return ()
        lacking = np.frombuffer(self._ram, np.uint8) & ~np.frombuffer(self._dumped, np.uint8)
        return tuple(self._runs(memoryview(lacking.tobytes())))

    def _place_of_zeros(
        self, frames: npt.NDArray[np.int64], offsets: npt.NDArray[np.uint64]
    ) -> int | None:
        """Where the page lies that most pages share, if it is one of zeros."""
        places, first, counts = np.unique(offsets, return_index=True, return_counts=True)
        shared = int(np.argmax(counts))
        try:
            if counts[shared] > 1 and not any(self._page(int(frames[first[shared]]))):
                return int(places[shared])
        except OutsideRam:
            pass  # damaged
        return None

    def _pieces(self, frames: npt.NDArray[np.int64]) -> Iterator[PhysRange]:
        """The runs of ascending frames."""
        if not len(frames):
            return
        ends = np.flatnonzero(np.diff(frames) != 1)
        firsts = frames[np.concatenate([[0], ends + 1])].tolist()
        lasts = frames[np.concatenate([ends, [len(frames) - 1]])].tolist()
        for first, last in zip(firsts, lasts):
            yield PhysRange(first << self.page_shift, last + 1 - first << self.page_shift)

    def forget(self) -> None:
        """See DumpMemory."""
        self._cache.clear()
        self._source.forget()

    def close(self) -> None:
        """See DumpMemory."""
        self._ram.release()
        self._dumped.release()
        self._source.close()


def _ranks(bitmap: memoryview) -> npt.NDArray[np.int64]:
    """How many bits are set before each group of _RANK_BYTES bytes."""
    ones = np.array([byte.bit_count() for byte in range(256)], dtype=np.uint8)
    counts = ones[np.frombuffer(bitmap, dtype=np.uint8)]
    groups = np.add.reduceat(counts, np.arange(0, len(counts), _RANK_BYTES), dtype=np.int64)
    result: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(groups)[:-1]])
    return result


def _edges(content: npt.NDArray[np.uint8], before: int) -> npt.NDArray[np.int64]:
    """The numbers of the bits that differ from the bit before them; `before` is the one before the
    first."""
    carried = np.empty_like(content)
    carried[0] = before
    carried[1:] = content[:-1] >> 7
    edges: npt.NDArray[np.uint8] = content ^ (np.left_shift(content, np.uint8(1)) | carried)
    used = np.flatnonzero(edges)
    bits = np.flatnonzero(np.unpackbits(edges[used], bitorder="little"))
    numbers: npt.NDArray[np.int64] = used[bits >> 3] * 8 + (bits & 7)
    return numbers
