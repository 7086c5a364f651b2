# SPDX-License-Identifier: BSD-3-Clause
"""Bytes by offset, without reading a file as a whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Iterator, Protocol

from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.guest_ram import Extent, holes_left_out


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


class FileSource:
    """A file. It is read, not mapped: a mapped file that shrinks, or has a bad sector, ends the
    program by SIGBUS."""

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        """Opens `path`, or takes `file` over, which was made of it and may have no name. Raises
        UnreadableDump, also for an empty file."""
        self._path = path
        self._file = -1
        try:
            # Without O_NONBLOCK a FIFO that nobody writes to would block here.
            self._file = (
                os.dup(file.fileno())
                if file
                else os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            )
            self._size = _bytes_of(path, self._file)
        except OSError as error:
            self.close()
            raise UnreadableDump(path, f"cannot be read: {error.strerror}") from error
        except UnreadableDump:
            self.close()
            raise
        finally:
            if file:
                file.close()

    @property
    def size(self) -> int:
        """See Source."""
        return self._size

    def view(self, offset: int, size: int) -> memoryview:
        """See Source. Raises UnreadableDump when the file has become shorter or cannot be read."""
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError(
                f"file too short: {size:#x} bytes expected at {offset:#x}, "
                f"it ends at {self._size:#x}"
            )
        try:
            data = os.pread(self._file, size, offset)
            while len(data) < size:  # read(2) stops at 2 GiB
                more = os.pread(self._file, size - len(data), offset + len(data))
                if not more:
                    why = f"file was truncated while open: {self._size} bytes before"
                    raise UnreadableDump(self._path, why)
                data += more
        except OSError as error:
            why = f"cannot be read at {offset:#x}: {error.strerror}"
            raise UnreadableDump(self._path, why) from error
        return memoryview(data)

    def extents(self) -> Iterator[Extent]:
        """See Source. Raises UnreadableDump when the file has become shorter."""
        self.view(self._size - 1, 1)
        return holes_left_out(self._file, self._size)

    def forget(self) -> None:
        """See Source. Nothing is kept."""

    def close(self) -> None:
        """See Source."""
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
