# SPDX-License-Identifier: BSD-3-Clause
"""Bytes by offset, without reading a file as a whole."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from pathlib import Path
from typing import IO, Iterator, Protocol

from khorig.mem.formats.errors import UnreadableDump

Extent = tuple[int, int]  # offset, size


class Source(Protocol):
    """A long row of bytes."""

    @property
    def size(self) -> int:
        """Bytes."""

    def view(self, offset: int, size: int) -> memoryview:
        """Bytes inside the source. Raises ValueError when they are not or cannot be had."""

    def extents(self) -> Iterator[Extent]:
        """What may be other than zero, ascending, not adjacent."""

    def forget(self) -> None:
        """Gives back memory that is only kept to be faster."""

    def close(self) -> None:
        """Closes what is open. Closing twice is harmless."""


def holes_left_out(descriptor: int, size: int) -> Iterator[Extent]:
    """The extents of a file that its file system has bytes for."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
            end = min(size, os.lseek(descriptor, begin, os.SEEK_HOLE))
        except OSError as error:
            if error.errno != errno.ENXIO:  # the file system cannot tell
                yield at, size - at
            return
        if begin >= size:
            return
        yield begin, end - begin
        at = end


class MappedFile:
    """A file, mapped."""

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        """Opens `path`, or takes `file` over, which was made of it and may have no name. Raises
        UnreadableDump, also for an empty file and for what cannot be mapped."""
        self._file = -1
        try:
            # Without O_NONBLOCK a FIFO that nobody writes to would block here.
            self._file = (
                os.dup(file.fileno())
                if file
                else os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            )
            self._size = _bytes_of(path, self._file)
            self._map = mmap.mmap(self._file, self._size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UnreadableDump(path, f"cannot be read: {why}") from error
        finally:
            if file:
                file.close()
            if not hasattr(self, "_map") and self._file >= 0:
                os.close(self._file)
        self._view = memoryview(self._map)

    @property
    def size(self) -> int:
        """See Source."""
        return self._size

    def view(self, offset: int, size: int) -> memoryview:
        """See Source."""
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError(
                f"file too short: {size:#x} bytes expected at {offset:#x}, "
                f"it ends at {self._size:#x}"
            )
        return self._view[offset : offset + size]

    def extents(self) -> Iterator[Extent]:
        """See Source."""
        return holes_left_out(self._file, self._size)

    def forget(self) -> None:
        """See Source. The pages stay in the page cache. /proc/vmcore maps page frames, which
        madvise refuses (EINVAL) and which take no memory."""
        with contextlib.suppress(OSError):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """See Source."""
        self._view.release()
        with contextlib.suppress(BufferError):  # somebody holds a view
            self._map.close()
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _bytes_of(path: Path, descriptor: int) -> int:
    """The size of a file or of a block device. Raises UnreadableDump, OSError."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise UnreadableDump(path, "neither a regular file nor a block device")
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if not size:
        raise UnreadableDump(path, "the file is empty")
    return size
