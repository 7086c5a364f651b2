# SPDX-License-Identifier: BSD-3-Clause
"""The file of guest RAM."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Callable, Sequence

from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.vm.errors import InfraError

# Upper bound of RAM touched by a run. The file is sparse: requiring space for all RAM would refuse
# large guests that run fine.
_TOUCHED_AT_MOST = 512 << 20


def free_bytes(directory: str) -> int:
    """Free bytes in the file system of `directory`; 0 if it does not exist."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


class RamFile:
    """A sparse file without a name, mapped here and shared with QEMU by descriptor.

    It lies in /dev/shm, or in $TMPDIR when that has no room. Because it has no name it is gone with
    the last process that holds it, however that process ends. Raises InfraError when neither
    directory has room.
    """

    def __init__(self, size: int, room: Callable[[str], int] = free_bytes) -> None:
        """`size`: bytes; `room`: free bytes of a directory."""
        self.size = size
        self.directory = _directory_with_room(min(size, _TOUCHED_AT_MOST), room)
        try:
            self._file = tempfile.TemporaryFile(dir=self.directory, buffering=0)
            os.ftruncate(self._file.fileno(), size)
            self._map = mmap.mmap(self._file.fileno(), size)
        except OSError as error:
            what = f"cannot allocate {size} bytes of guest RAM in {self.directory}: {error}"
            raise InfraError(what) from error
        self._open: list[GuestRam] = []

    def __enter__(self) -> RamFile:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for ram in self._open:
                ram.close()
            self._map.close()
        except BufferError:
            pass  # a view exists; the memory is freed with it
        self._file.close()

    def fileno(self) -> int:
        """The descriptor inherited by QEMU."""
        return self._file.fileno()

    def guest_ram(self, regions: Sequence[RamRegion]) -> GuestRam:
        """The file by guest-physical address; valid until exit of this context."""
        ram = GuestRam(memoryview(self._map), regions, self.fileno())
        self._open.append(ram)
        return ram

    def extents(self) -> list[tuple[int, int]]:
        """(offset, size) of written data; the rest is holes."""
        extents = []
        at = 0
        while at < self.size:
            try:
                begin = os.lseek(self.fileno(), at, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole follows
                break
            end = os.lseek(self.fileno(), begin, os.SEEK_HOLE)
            extents.append((begin, end - begin))
            at = end
        return extents

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes by file offset, without touching holes."""
        return os.pread(self.fileno(), size, offset)


def _directory_with_room(needed: int, room: Callable[[str], int]) -> str:
    directories = ["/dev/shm", tempfile.gettempdir()]
    for directory in directories:
        if os.access(directory, os.W_OK) and room(directory) >= needed:
            return directory
    raise InfraError(
        f"no space left for guest RAM: {needed >> 20} MiB needed",
        tuple(
            f"{d}: {room(d) >> 20} MiB free" + ("" if os.access(d, os.W_OK) else ", not writable")
            for d in directories
        ),
    )
