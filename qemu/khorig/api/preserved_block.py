# SPDX-License-Identifier: BSD-3-Clause
"""One block that is handed over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PreservedBlock:
    """2^order pages that the next kernel gets as they are."""

    address: int  # physical
    order: int
    size: int  # bytes
    owner: str  # of the first page, as OpenDump.owner has it

    @property
    def end(self) -> int:
        """Physical address of the first byte behind the block."""
        return self.address + self.size

    def __repr__(self) -> str:
        return f"<{self.address:#x}-{self.end:#x} order {self.order}: {self.owner}>"
