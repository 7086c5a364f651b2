# SPDX-License-Identifier: BSD-3-Clause
"""Unpacks a compressed file into a temporary one, without its zeros."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import IO, Callable, cast

from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.packing import DAMAGED, PIECE, Packing
from khorig.mem.formats.source import FileSource, Source

MAX_SIZE = 1 << 44  # bytes unpacked
_BLOCK = 64 << 10  # bytes; a block of zeros becomes a hole
_ZEROS = bytes(_BLOCK)
_FORGET = 32 << 20  # bytes of the packed file
_LEFT_FREE = 16  # a part of this many of the disk's free room is left to others

# Called with the bytes read of the packed file and its size, a hundred times at most.
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Progress for nobody."""


def unpack(
    path: Path, packed: Source, packing: Packing, progress: Progress = no_progress
) -> FileSource:
    """The content of `packed`, which is the file at `path`, in a sparse file without a name in the
    folder for temporary files. Takes as much room there as the content has bytes that are not
    zeros.

    Raises UnreadableDump when the file is damaged or cut off, when its content has more than
    MAX_SIZE bytes, and when the disk has no room for it. What `progress` raises ends the work.
    """
    folder = tempfile.gettempdir()
    try:
        file: IO[bytes] = tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise UnreadableDump(path, f"cannot unpack it in {folder}: {error.strerror}") from error
    try:
        _Unpacker(path, packed, file.fileno(), folder).run(packing, progress)
        return FileSource(path, file)
    finally:
        file.close()


class _Unpacker:
    """One file on its way."""

    def __init__(self, path: Path, packed: Source, sink: int, folder: str) -> None:
        self._path = path
        self._packed = packed
        self._sink = sink
        self._folder = folder
        free = os.statvfs(folder)
        self._room = free.f_bavail * free.f_frsize * (_LEFT_FREE - 1) // _LEFT_FREE
        self._at = 0

    def run(self, packing: Packing, progress: Progress) -> None:
        """Fills the sink."""
        reader = _Reader(self._packed, progress)
        pieces = packing.pieces(cast(IO[bytes], io.BufferedReader(reader)))
        while True:
            # Only what unpacking raises is damage: the sink raises OSError, too.
            try:
                piece = next(pieces, None)
            except DAMAGED as error:
                raise UnreadableDump(
                    self._path,
                    f"damaged or cut off: {packing.name} after {self._at:#x} bytes: {error}",
                ) from error
            except ValueError as error:
                raise UnreadableDump(self._path, str(error)) from error
            if piece is None:
                break
            self._keep(piece)
        if not self._at:
            raise UnreadableDump(self._path, f"{packing.name} without content")
        os.ftruncate(self._sink, self._at)

    def _keep(self, piece: bytes) -> None:
        if self._at + len(piece) > MAX_SIZE:
            raise UnreadableDump(self._path, f"more than {MAX_SIZE:#x} bytes unpacked")
        try:
            for begin in range(0, len(piece), _BLOCK):
                block = piece[begin : begin + _BLOCK]
                if block != _ZEROS[: len(block)]:
                    self._room -= len(block)
                    if self._room < 0:
                        raise UnreadableDump(self._path, self._no_room())
                    os.pwrite(self._sink, block, self._at + begin)
        except OSError as error:
            raise UnreadableDump(self._path, f"{self._no_room()}: {error.strerror}") from error
        self._at += len(piece)

    def _no_room(self) -> str:
        return f"no room to unpack it in {self._folder}; set TMPDIR to a larger file system"


class _Reader(io.RawIOBase):
    """A source as a file that is read once from its begin to its end."""

    def __init__(self, source: Source, progress: Progress) -> None:
        super().__init__()
        self._source = source
        self._progress = progress
        self._at = self._forgotten = self._percent = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._source.size - self._at, PIECE)
        buffer[:size] = self._source.view(self._at, size)
        self._at += size
        percent = self._at * 100 // self._source.size
        if percent != self._percent:
            self._percent = percent
            self._progress(self._at, self._source.size)
        if self._at - self._forgotten >= _FORGET:
            self._source.forget()
            self._forgotten = self._at
        return size
