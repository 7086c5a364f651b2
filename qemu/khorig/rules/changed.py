# SPDX-License-Identifier: BSD-3-Clause
"""Memory that changed between two stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

from khorig.mem.untrusted import count, items, typed

MOST_PAGES = 16


@dataclass(frozen=True)
class Changed:
    """Pages that differ from what they were at an earlier stop."""

    generation: int  # of the earlier stop
    stop: str
    page_size: int  # bytes
    pages: tuple[int, ...]  # physical addresses of the lowest ones, ascending, at most 16
    count: int  # of all

    @staticmethod
    def since(generation: int, stop: str, page_size: int, pages: Iterable[int]) -> Changed:
        """From the addresses of all pages, in any order."""
        every = sorted(set(pages))
        return Changed(generation, stop, page_size, tuple(every[:MOST_PAGES]), len(every))

    @staticmethod
    def of(record: Any) -> Changed | None:
        """From JSON. Raises Untrusted."""
        return None if record is None else typed(Changed, record, pages=_pages)


def _pages(value: Any) -> tuple[int, ...]:
    return tuple(count(page) for page in items(value)[:MOST_PAGES])
