# SPDX-License-Identifier: BSD-3-Clause
"""Finds the pages of a failure in another run."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.rules.changed import Changed
from khorig.run.judging import StopContext
from khorig.run.stop_snapshot import snapshot_at
from khorig.run.watched_page import WatchedPage


@dataclass(frozen=True)
class WatchedPages:
    """Where changed pages lie in this run. A page that has no owner, or whose owner is not there,
    keeps its address."""

    pages: tuple[int, ...]  # physical addresses, each once
    others: tuple[WatchedPage, ...] = ()  # those at other addresses, and those not found

    @staticmethod
    def at(context: StopContext, changed: Changed) -> WatchedPages:
        """By the handover at the stop that `changed` begins at."""
        shift = changed.page_size.bit_length() - 1
        owned = any(owner for _, owner in changed.owned)
        snapshot = snapshot_at(context, shift) if owned else None
        pages: list[int] = []
        others: list[WatchedPage] = []
        for first, owner in changed.owned:
            frame = snapshot.find(owner) if snapshot and owner else None
            page = first if frame is None else frame << shift
            pages.append(page)
            if snapshot and frame is not None and page != first:
                name = snapshot.describe(frame)
                others.append(WatchedPage(f"{page:#018x}", f"{first:#018x}", name, True))
            elif frame is None:
                address, name = f"{first:#018x}", str(owner) if owner else ""
                others.append(WatchedPage(address, address, name, False))
        return WatchedPages(tuple(dict.fromkeys(pages)), tuple(others))
