# SPDX-License-Identifier: BSD-3-Clause
"""A page by its owner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OwnedPage:
    """Which page of which owner. Holds in every snapshot of the same handover, wherever its memory
    lies: `Snapshot.locate` makes it, `Snapshot.find` finds the page."""

    owner: str  # "memblock/reference", "fragment /khorig/stores", "radix node of level 0, ..."
    page: int = 0  # among the owner's
    claim: int = 0  # among the owners of this name
    beyond: int = 0  # pages behind that one, in the rest of its block

    def __str__(self) -> str:
        rest = f" and {self.beyond} beyond" if self.beyond else ""
        return f"{self.owner} page {self.page}{rest}"
