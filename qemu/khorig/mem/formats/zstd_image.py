# SPDX-License-Identifier: BSD-3-Clause
"""A file of zstd frames, each unpacked when somebody looks at it."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import zstandard

from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.source import Extent, MappedFile

MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_FRAME = 64 << 20  # bytes unpacked; an image has frames of 8 MiB
_MAX_FRAMES = 1 << 20
_FORGET_AFTER = 32 << 20  # bytes of the file
_CACHED = 16 << 20  # bytes kept unpacked
# Looks at a frame until it is stored. Whoever looks at everything does it once or twice, and storing
# all of that would take longer than unpacking it.
_LOOKS_BEFORE_STORED = 3
_MAX_SIZE = 1 << 44
_LAST, _TYPE_SHIFT, _SIZE_SHIFT, _RLE = 1, 1, 3, 1  # of a block's header, RFC 8878 3.1.1.2
_CHECKSUM = 4


@dataclass(frozen=True)
class _Frame:
    offset: int  # in the file
    packed: int  # bytes there
    size: int  # bytes unpacked


class ZstdImage:
    """The unpacked bytes. Frames that are asked for again and again go into a sparse file without a
    name in the folder for temporary files, so that looking here and there stays fast."""

    def __init__(self, path: Path, file: MappedFile) -> None:
        """Takes `file` over. Raises UnreadableDump when it is not made of zstd frames that say how
        large they are."""
        self._file = file
        self._frames = _find_frames(path, file)
        self._begins = [0]
        for frame in self._frames:
            self._begins.append(self._begins[-1] + frame.size)
        self._size = self._begins.pop()
        if not 0 < self._size <= _MAX_SIZE:
            raise UnreadableDump(path, f"{self._size:#x} bytes unpacked")
        self._unpacker = zstandard.ZstdDecompressor()
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._looks: dict[int, int] = {}
        self._broken: set[int] = set()
        self._zeros = _frames_of_zeros(self._frames, file, self._unpacker)
        self._stored = set(self._zeros)
        try:
            with tempfile.TemporaryFile(buffering=0) as store:
                os.ftruncate(store.fileno(), self._size)
                self._map = mmap.mmap(store.fileno(), self._size)
                self._store = os.dup(store.fileno())
        except OSError as error:
            why = f"no room to unpack it in {tempfile.gettempdir()}: {error.strerror}"
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
        if first == last and first not in self._stored:
            content = self._content(first)
            begin = offset - self._begins[first]
            return memoryview(content)[begin : begin + size]
        for number in range(first, last + 1):
            if number not in self._stored:
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
        frame = self._frames[number]
        if number in self._broken:
            raise ValueError(f"frame {number} is damaged")
        try:
            packed = self._file.view(frame.offset, frame.packed)
            content = self._unpacker.decompress(packed, max_output_size=frame.size)
            if len(content) != frame.size:
                raise ValueError(f"{len(content)} bytes, not {frame.size}")
        except (zstandard.ZstdError, ValueError) as error:
            self._broken.add(number)
            raise ValueError(f"frame {number} is damaged: {error}") from error
        return content

    def _store_frame(self, number: int, content: bytes) -> None:
        try:
            os.pwrite(self._store, content, self._begins[number])
        except OSError as error:
            raise ValueError(f"no room for frame {number}: {error.strerror}") from error
        self._stored.add(number)
        self._cache.pop(number, None)

    def extents(self) -> Iterator[Extent]:
        """See Source."""
        begin = end = 0
        for number, at in enumerate(self._begins):
            if number in self._zeros:
                continue
            if at != end:
                if end > begin:
                    yield begin, end - begin
                begin = at
            end = at + self._frames[number].size
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


def _find_frames(path: Path, file: MappedFile) -> list[_Frame]:
    frames: list[_Frame] = []
    at = looked_at = 0
    try:
        while at < file.size:
            last = frames[-1] if frames else None
            if last and _is_same(file, last, at):  # one hole after another
                frame = _Frame(at, last.packed, last.size)
            else:
                frame = _read_frame(file, at)
            if len(frames) == _MAX_FRAMES:
                raise ValueError(f"more than {_MAX_FRAMES} frames")
            frames.append(frame)
            at += frame.packed
            if at >= looked_at + _FORGET_AFTER:
                file.forget()
                looked_at = at
    except (ValueError, zstandard.ZstdError) as error:
        raise UnreadableDump(path, f"not an image in zstd: at {at:#x}: {error}") from error
    return frames


def _is_same(file: MappedFile, frame: _Frame, at: int) -> bool:
    if at + frame.packed > file.size:
        return False
    return file.view(frame.offset, frame.packed) == file.view(at, frame.packed)


def _read_frame(file: MappedFile, at: int) -> _Frame:
    """RFC 8878 section 3.1.1: the header, then blocks up to the last."""
    head = bytes(file.view(at, min(18, file.size - at)))
    parameters = zstandard.get_frame_parameters(head)
    size = parameters.content_size
    if not 0 <= size <= _MAX_FRAME:
        raise ValueError("a frame that does not say its size, or too large a one")
    end = at + zstandard.frame_header_size(head)
    while True:
        block = int.from_bytes(file.view(end, 3), "little")
        is_run = block >> _TYPE_SHIFT & 3 == _RLE
        end += 3 + (1 if is_run else block >> _SIZE_SHIFT)
        if block & _LAST:
            break
    end += _CHECKSUM if parameters.has_checksum else 0
    if end > file.size:
        raise ValueError("the file ends inside a frame")
    return _Frame(at, end - at, size)


def _frames_of_zeros(
    frames: list[_Frame], file: MappedFile, unpacker: zstandard.ZstdDecompressor
) -> set[int]:
    """The frames of holes. They are tiny, so looking into those that could be one is cheap."""
    zeros: set[int] = set()
    known: dict[bytes, bool] = {}
    for number, frame in enumerate(frames):
        if frame.packed <= max(64, frame.size >> 10):
            packed = bytes(file.view(frame.offset, frame.packed))
            if packed not in known and len(known) < 1024:
                try:
                    content = unpacker.decompress(packed, max_output_size=max(1, frame.size))
                    known[packed] = content == bytes(len(content))
                except zstandard.ZstdError:
                    known[packed] = False
            if known.get(packed):
                zeros.add(number)
    return zeros
