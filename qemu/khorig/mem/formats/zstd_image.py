# SPDX-License-Identifier: BSD-3-Clause
"""A file of zstd frames, each unpacked when somebody looks at it."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from array import array
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import Iterator

import zstandard

from khorig.mem.errors import Error
from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.source import FileSource
from khorig.mem.guest_ram import Extent

MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_FRAME = 64 << 20  # bytes unpacked; an image has frames of 8 MiB
_MAX_FRAMES = 1 << 20
_SMALL_FRAME = 1 << 16  # bytes of the file; a hole's frame is smaller
_FORGET_AFTER = 32 << 20  # bytes of the file
_CACHED = 16 << 20  # bytes kept unpacked
# Looks at a frame until it is stored. A scan looks at everything once or twice, and storing all of
# that takes longer than unpacking it.
_LOOKS_BEFORE_STORED = 3
_MAX_SIZE = 1 << 44
_LAST, _TYPE_SHIFT, _SIZE_SHIFT, _RLE = 1, 1, 3, 1  # of a block's header, RFC 8878 3.1.1.2
_CHECKSUM = 4
_SKIPPABLE = b"\x2a\x4d\x18"  # after a first byte of 0x50 to 0x5f, section 3.1.2


class LargeFrames(Error):
    """Frames that do not state their size, or one of more than _MAX_FRAME bytes: the file can be
    unpacked only as a whole."""


class _Frames:
    """Parallel arrays, since there may be a million."""

    def __init__(self) -> None:
        self.offsets = array("q")  # in the file
        self.packed = array("q")  # bytes there
        self.sizes = array("q")  # bytes unpacked; more than _MAX_FRAME where none are stated

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, offset: int, packed: int, size: int) -> None:
        """A frame behind the others."""
        self.offsets.append(offset)
        self.packed.append(packed)
        self.sizes.append(size)


class ZstdImage:
    """The unpacked bytes. Frames that are asked for again and again go into a sparse file without a
    name in the folder for temporary files, so that looking here and there stays fast."""

    def __init__(self, path: Path, file: FileSource) -> None:
        """Takes `file` over, unless it raises LargeFrames: the frames do not state their size, or
        one of more than 64 MiB. Raises UnreadableDump when they are damaged."""
        self._file = file
        self._frames = frames = _find_frames(path, file)
        if len(frames) and max(frames.sizes) > _MAX_FRAME:
            raise LargeFrames
        self._begins = array("q", accumulate(frames.sizes, initial=0))
        self._size = self._begins.pop()
        if not 0 < self._size <= _MAX_SIZE:
            raise UnreadableDump(
                path, f"{self._size:#x} bytes unpacked, expected 1 to {_MAX_SIZE:#x}"
            )
        self._unpacker = zstandard.ZstdDecompressor()
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._looks: dict[int, int] = {}
        self._broken: set[int] = set()
        self._zeros = _frames_of_zeros(frames, file, self._unpacker)  # 1 for each that is
        self._stored = bytearray(self._zeros)  # 1 for each that the temporary file has
        try:
            with tempfile.TemporaryFile(buffering=0) as store:
                os.ftruncate(store.fileno(), self._size)
                self._map = mmap.mmap(store.fileno(), self._size)
                self._store = os.dup(store.fileno())
        except OSError as error:
            why = f"cannot unpack it in {tempfile.gettempdir()}: {error.strerror}"
            raise UnreadableDump(path, why) from error
        self._view = memoryview(self._map).toreadonly()

    @property
    def size(self) -> int:
        """See Source."""
        return self._size

    def view(self, offset: int, size: int) -> memoryview:
        """See Source."""
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError(f"{size:#x} bytes at {offset:#x} of {self._size:#x}")
        first = bisect_right(self._begins, offset) - 1
        last = bisect_right(self._begins, offset + max(size, 1) - 1) - 1
        if first == last and not self._stored[first]:
            content = self._content(first)
            begin = offset - self._begins[first]
            return memoryview(content)[begin : begin + size]
        for number in range(first, last + 1):
            if not self._stored[number]:
                self._store_frame(number, self._content(number))
        return self._view[offset : offset + size]

    def _content(self, number: int) -> bytes:
        if content := self._cache.get(number):
            self._cache.move_to_end(number)
            return content
        content = self._unpack(number)
        self._looks[number] = self._looks.get(number, 0) + 1
        if self._looks[number] >= _LOOKS_BEFORE_STORED:
            self._store_frame(number, content)
            return content
        self._cache[number] = content
        kept = sum(map(len, self._cache.values()))
        while kept > _CACHED and len(self._cache) > 1:
            kept -= len(self._cache.popitem(last=False)[1])
        return content

    def _unpack(self, number: int) -> bytes:
        if number in self._broken:
            raise ValueError(f"frame {number} is damaged")
        try:
            packed = self._file.view(self._frames.offsets[number], self._frames.packed[number])
            size = self._frames.sizes[number]
            content = self._unpacker.decompress(packed, max_output_size=size)
            if len(content) != size:
                raise ValueError(f"{len(content)} bytes, expected {size}")
        except (zstandard.ZstdError, ValueError) as error:
            self._broken.add(number)
            raise ValueError(f"frame {number} is damaged: {error}") from error
        return content

    def _store_frame(self, number: int, content: bytes) -> None:
        try:
            os.pwrite(self._store, content, self._begins[number])
        except OSError as error:
            raise ValueError(f"no room for frame {number}: {error.strerror}") from error
        self._stored[number] = 1
        self._cache.pop(number, None)

    def extents(self) -> Iterator[Extent]:
        """See Source."""
        begin = end = 0
        for number, at in enumerate(self._begins):
            if self._zeros[number]:
                continue
            if at != end:
                if end > begin:
                    yield begin, end - begin
                begin = at
            end = at + self._frames.sizes[number]
        if end > begin:
            yield begin, end - begin

    def forget(self) -> None:
        """See Source. What was stored stays in the temporary file."""
        self._map.madvise(mmap.MADV_DONTNEED)
        self._file.forget()

    def close(self) -> None:
        """See Source."""
        self._view.release()
        with contextlib.suppress(BufferError):
            self._map.close()
        if self._store >= 0:
            os.close(self._store)
        self._store = -1
        self._file.close()


def _find_frames(path: Path, file: FileSource) -> _Frames:
    """All frames but those to be skipped. Raises UnreadableDump, also for a file that ends inside a
    frame."""
    frames = _Frames()
    at = looked_at = 0
    try:
        while at < file.size:
            if len(frames) and _is_same(file, frames, at):  # one hole after another
                packed, size = frames.packed[-1], frames.sizes[-1]
            else:
                packed, size = _read_frame(file, at)
            if len(frames) == _MAX_FRAMES:
                raise ValueError(f"more than {_MAX_FRAMES} frames")
            if size >= 0:
                frames.add(at, packed, size)
            at += packed
            if at >= looked_at + _FORGET_AFTER:
                file.forget()
                looked_at = at
    except (ValueError, zstandard.ZstdError) as error:
        raise UnreadableDump(path, f"zstd frame at {at:#x}: {error}") from error
    return frames


def _is_same(file: FileSource, frames: _Frames, at: int) -> bool:
    size = frames.packed[-1]
    if size > _SMALL_FRAME or at + size > file.size:
        return False
    return file.view(frames.offsets[-1], size) == file.view(at, size)


def _read_frame(file: FileSource, at: int) -> tuple[int, int]:
    """RFC 8878 section 3.1.1: the header, then blocks up to the last. Its bytes in the file, and
    unpacked; -1 for a frame to be skipped."""
    head = bytes(file.view(at, min(18, file.size - at)))
    if head[1:4] == _SKIPPABLE and head[0] >> 4 == 5:
        size = 8 + int.from_bytes(file.view(at + 4, 4), "little")
        file.view(at, size)
        return size, -1
    parameters = zstandard.get_frame_parameters(head)
    size = min(parameters.content_size, _MAX_FRAME + 1)
    end = at + zstandard.frame_header_size(head)
    while True:
        block = int.from_bytes(file.view(end, 3), "little")
        is_run = block >> _TYPE_SHIFT & 3 == _RLE
        end += 3 + (1 if is_run else block >> _SIZE_SHIFT)
        if block & _LAST:
            break
    end += _CHECKSUM if parameters.has_checksum else 0
    if end > file.size:
        raise ValueError("the file is cut off inside of it")
    return end - at, size if size >= 0 else _MAX_FRAME + 1


def _frames_of_zeros(
    frames: _Frames, file: FileSource, unpacker: zstandard.ZstdDecompressor
) -> bytearray:
    """1 for each frame of a hole. They are tiny, so looking into those that could be one is
    cheap."""
    zeros = bytearray(len(frames))
    known: dict[bytes, bool] = {}
    for number, (offset, size, unpacked) in enumerate(
        zip(frames.offsets, frames.packed, frames.sizes)
    ):
        if size <= max(64, unpacked >> 10):
            packed = bytes(file.view(offset, size))
            if packed not in known and len(known) < 1024:
                try:
                    content = unpacker.decompress(packed, max_output_size=max(1, unpacked))
                    known[packed] = content == bytes(len(content))
                except zstandard.ZstdError:
                    known[packed] = False
            zeros[number] = known.get(packed, False)
    return zeros
