# SPDX-License-Identifier: BSD-3-Clause
"""What memory that a finding is about has to do with the rest of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from khorig.mem.untrusted import items, typed


@dataclass(frozen=True)
class Reason:
    """One fact about an address of a finding."""

    kind: str  # "segment", "block", "scratch", "node", "owner", "earlier", "allocator", ...
    what: str  # one line
    begin: int  # physical range of what lies there
    end: int

    @staticmethod
    def many(records: Any) -> tuple[Reason, ...]:
        """From JSON. Raises Untrusted."""
        return tuple(typed(Reason, record) for record in items(records))
