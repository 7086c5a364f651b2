# SPDX-License-Identifier: BSD-3-Clause
"""Pages compared across each jump."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class JumpCoverage:
    """Coverage of the jumps from generations `first` to `last`, equal for each."""

    first: int
    last: int
    pages: int  # compared across each of them
    bytes: int

    @property
    def jumps(self) -> int:
        """Number of jumps."""
        return self.last - self.first + 1


class Coverage:
    """Counts pages per jump. Adjacent jumps with equal counts share one entry."""

    def __init__(self) -> None:
        self._closed: list[JumpCoverage] = []
        self._open: JumpCoverage | None = None

    def add(self, jump: int, pages: int, page_size: int) -> None:
        """`pages` were compared across the jump from generation `jump`. Comparisons may cover the
        same pages: the largest counts."""
        if self._open is not None and self._open.first != jump:
            self._closed = self._joined()
            self._open = None
        if pages > (self._open.pages if self._open else 0):
            self._open = JumpCoverage(jump, jump, pages, pages * page_size)

    def _joined(self) -> list[JumpCoverage]:
        if self._open is None:
            return self._closed
        if self._closed:
            last = self._closed[-1]
            if (last.last, last.pages) == (self._open.first - 1, self._open.pages):
                return [*self._closed[:-1], replace(last, last=self._open.last)]
        return [*self._closed, self._open]

    @property
    def jumps(self) -> tuple[JumpCoverage, ...]:
        """Coverage of all jumps, ascending."""
        return tuple(self._joined())

    def pages(self, jump: int) -> int:
        """Pages compared across the jump from generation `jump`."""
        return next((c.pages for c in self._joined() if c.first <= jump <= c.last), 0)
