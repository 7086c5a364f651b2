# SPDX-License-Identifier: BSD-3-Clause
"""An applied poke."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Poked:
    """A byte of guest memory changed at a stop."""

    poke: str  # the khorig.guest.poke.Poke
    address: str  # "0x000000001f2c4000"
    owner: str  # at that stop, as in findings; "" if unowned
    before: int
    after: int

    @property
    def line(self) -> str:
        """One line: address, owner, old and new value."""
        owner = self.owner or "unowned"
        return f"{self.address} ({owner}): {self.before:#04x} -> {self.after:#04x}"

    def record(self) -> dict[str, Any]:
        """The fields of its record in the journal."""
        return {"lines": [f"poked {self.line}"], **asdict(self)}
