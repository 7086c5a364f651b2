# SPDX-License-Identifier: BSD-3-Clause
"""Pages as known writers left them."""

from __future__ import annotations

from typing import Iterable, Mapping

import numpy as np

from khorig.mem.guest_ram import GuestRam

_WORD = 8  # bytes
_RANGES = 4  # of differing bytes named for a page


class ExplainedPages:
    """Starts from the pages at one moment and follows every known write; what differs from memory
    in the end was written by somebody else."""

    def __init__(self, pages: Iterable[int], size: int, ram: GuestRam) -> None:
        """`pages`: physical addresses; `size` in bytes. Raises OutsideGuestRam."""
        self._ram = ram
        self._size = size
        self._pages = {page: bytearray(ram.read(page, size)) for page in pages}

    def store(self, address: int, content: bytes) -> None:
        """A known write to physical memory; what lies outside of the pages does not matter."""
        page = address // self._size * self._size
        if (copy := self._pages.get(page)) is not None:
            at = address - page
            end = min(at + len(content), self._size)
            copy[at:end] = content[: end - at]

    def memory(self) -> dict[int, bytes]:
        """The pages as they are in memory now."""
        return {page: bytes(self._ram.read(page, self._size)) for page in self._pages}

    def accept(self, before: Mapping[int, bytes], now: Mapping[int, bytes]) -> list[str]:
        """Whatever differs between two moments has a known writer. Returns what was written, a line
        for each run of bytes."""
        lines = []
        for page, content in now.items():
            for begin, end in _differences(before[page], content):
                self.store(page + begin, content[begin:end])
                old, new = before[page][begin:end], content[begin:end]
                lines.append(f"{page + begin:#018x}: {_hex(old)} -> {_hex(new)}")
        return lines

    def unexplained(self) -> list[str]:
        """Bytes in memory that no known writer left there, a line for each run of them, at most
        four a page."""
        lines = []
        for page, content in self.memory().items():
            runs = _differences(self._pages[page], content)
            for begin, end in runs[:_RANGES]:
                old, new = bytes(self._pages[page][begin:end]), content[begin:end]
                count = "1 byte" if end - begin == 1 else f"{end - begin} bytes"
                lines.append(f"{count} at {page + begin:#018x}: {_hex(old)} -> {_hex(new)}")
            if len(runs) > _RANGES:
                lines.append(f"{len(runs) - _RANGES} more runs of bytes in page {page:#018x}")
        return lines


def _differences(before: bytes | bytearray, now: bytes) -> list[tuple[int, int]]:
    """Runs of differing bytes, [begin, end); runs less than a word apart are one."""
    old, new = (np.frombuffer(content, dtype=np.uint8) for content in (before, now))
    runs: list[tuple[int, int]] = []
    for at in np.flatnonzero(old != new).tolist():
        if runs and at - runs[-1][1] < _WORD:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _hex(content: bytes) -> str:
    return content[:_WORD].hex(" ") + (" ..." if len(content) > _WORD else "")
