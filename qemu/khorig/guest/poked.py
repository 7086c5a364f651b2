# SPDX-License-Identifier: BSD-3-Clause
"""What a poke has done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Poked:
    """A byte of guest memory that was changed at a stop."""

    poke: str  # khorig.guest.poke.Poke, as it was asked for
    address: str  # "0x000000001f2c4000"
    owner: str  # whose it is at that stop, as a finding names owners; "" for memory of nobody's
    before: int
    after: int

    @property
    def line(self) -> str:
        """For people."""
        whose = self.owner or "nobody's memory"
        return f"{self.address} ({whose}): {self.before:#04x} is now {self.after:#04x}"
