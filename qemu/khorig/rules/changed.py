# SPDX-License-Identifier: BSD-3-Clause
"""Memory that changed between two stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable

from khorig.kho.owned_page import OwnedPage
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
    # Which page of which owner each of `pages` is, as far as somebody owns it. In a run of another
    # layout they lie elsewhere.
    owners: tuple[OwnedPage | None, ...] = ()

    @staticmethod
    def since(
        generation: int,
        stop: str,
        page_size: int,
        pages: Iterable[int],
        locate: Callable[[int], OwnedPage | None] | None = None,
    ) -> Changed:
        """From the addresses of all pages, in any order; `locate` names the page of a frame."""
        every = sorted(set(pages))
        lowest = tuple(every[:MOST_PAGES])
        owners = tuple(locate(page // page_size) for page in lowest) if locate else ()
        return Changed(generation, stop, page_size, lowest, len(every), owners)

    @property
    def owned(self) -> tuple[tuple[int, OwnedPage | None], ...]:
        """Each page with its owner, None where that is not known."""
        owners = (*self.owners, *(None for _ in self.pages))
        return tuple(zip(self.pages, owners))

    @staticmethod
    def of(record: Any) -> Changed | None:
        """From JSON. Raises Untrusted."""
        return None if record is None else typed(Changed, record, pages=_pages, owners=_owners)


def _pages(value: Any) -> tuple[int, ...]:
    return tuple(count(page) for page in items(value)[:MOST_PAGES])


def _owners(value: Any) -> tuple[OwnedPage | None, ...]:
    return tuple(None if page is None else _owner(page) for page in items(value)[:MOST_PAGES])


def _owner(value: Any) -> OwnedPage:
    return typed(OwnedPage, value, page=count, claim=count, beyond=count)
