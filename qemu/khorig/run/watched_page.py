# SPDX-License-Identifier: BSD-3-Clause
"""A changed page in the run that watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from khorig.mem.untrusted import typed


@dataclass(frozen=True)
class WatchedPage:
    """Where a page lies that lay elsewhere in the first run, or that was not found again.
    Addresses are hexadecimal text."""

    page: str  # watched
    first: str  # of the changed page in the first run; the same where it was not found
    owner: str  # "memblock/reference page 3", "" where the first run knows none
    found: bool  # by its owner

    @staticmethod
    def of(record: Any) -> WatchedPage:
        """From JSON. Raises Untrusted."""
        return typed(WatchedPage, record)

    @property
    def line(self) -> str:
        """Text."""
        if self.found:
            return f"{self.owner} is at {self.page} in this run, {self.first} in the first"
        owner = f"{self.owner} is not found" if self.owner else "no owner known"
        return f"{self.page} watched by its address in the first run: {owner}"
