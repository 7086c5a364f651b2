# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM as it was at earlier moments."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from khorig.mem.changed_pages import union
from khorig.mem.memory import PhysRange
from khorig.mem.guest_ram import holes_left_out
from khorig.vm.ram_file import RamFile

_PAGE = 4096  # bytes: the unit that is compared and kept
_CHUNK = 1 << 20


class RamHistory:
    """A copy of guest RAM at the last moment noted, and of every page that changed since an earlier
    one its content before. `size`, `extents` and `pread` are those of RamFile, of the copy.

    A note costs a comparison of the RAM that was ever written, and the room of what changed. The
    files have no names and are gone with the process.
    """

    def __init__(self, ram: RamFile, directory: Path) -> None:
        """`directory` takes the files. Raises OSError."""
        self._ram = ram
        self.size = ram.size
        self._copy = tempfile.TemporaryFile(dir=directory, buffering=0)
        self._before = tempfile.TemporaryFile(dir=directory, buffering=0)
        os.ftruncate(self._copy.fileno(), ram.size)
        # Of each note but the first: (offset in RAM, size) of the runs of pages in `_before`.
        self._notes: list[list[tuple[int, int]]] = []
        self._empty = True

    def close(self) -> None:
        """Drops everything."""
        self._copy.close()
        self._before.close()

    def note(self) -> None:
        """Makes the copy that of this moment. Raises OSError, e.g. when the disk is full."""
        runs: list[tuple[int, int]] = []
        here = [PhysRange(*extent) for extent in self._ram.extents()]
        there = [PhysRange(*extent) for extent in self.extents()]
        for area in union(here, there):
            for offset in range(area.begin, area.end, _CHUNK):
                self._compare(offset, min(_CHUNK, area.end - offset), runs)
        if not self._empty:
            self._notes.append(runs)
        self._empty = False

    def back(self) -> None:
        """Makes the copy that of the note before. The first note has none: IndexError."""
        runs = self._notes.pop()
        total = sum(size for _, size in runs)
        at = self._before.seek(-total, os.SEEK_END)
        for offset, size in runs:
            _write(self._copy, os.pread(self._before.fileno(), size, at), offset)
            at += size
        self._before.truncate(self._before.seek(-total, os.SEEK_END))

    def extents(self) -> list[tuple[int, int]]:
        """See RamFile."""
        return list(holes_left_out(self._copy.fileno(), self.size))

    def pread(self, size: int, offset: int) -> bytes:
        """See RamFile."""
        return os.pread(self._copy.fileno(), size, offset)

    def _compare(self, offset: int, size: int, runs: list[tuple[int, int]]) -> None:
        new, old = self._ram.pread(size, offset), self.pread(size, offset)
        if new == old:
            return
        pages = range(0, size, _PAGE)
        changed = [at for at in pages if new[at : at + _PAGE] != old[at : at + _PAGE]]
        for begin, end in _joined(changed):
            end = min(end, size)
            if not self._empty:
                _write(self._before, old[begin:end], self._before.seek(0, os.SEEK_END))
                runs.append((offset + begin, end - begin))
            _write(self._copy, new[begin:end], offset + begin)


def _joined(pages: list[int]) -> list[tuple[int, int]]:
    """Runs of adjacent pages, [begin, end)."""
    runs: list[tuple[int, int]] = []
    for at in pages:
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + _PAGE)
        else:
            runs.append((at, at + _PAGE))
    return runs


def _write(file: IO[bytes], data: bytes, offset: int) -> None:
    while data:  # pwrite(2) may write less, and then says why
        written = os.pwrite(file.fileno(), data, offset)
        data, offset = data[written:], offset + written
