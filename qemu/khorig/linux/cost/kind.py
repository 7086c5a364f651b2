# SPDX-License-Identifier: BSD-3-Clause
"""What is handed over in a measurement, and in which phases that costs something."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.run import marks

MOST = 100_000  # of anything
DEFAULT_LIMIT = 1000
# The kernel has eight areas of reserve_mem=, of which the rig uses one: sizes of their own.
_RESERVED_SIZES = (1, 3, 10)


class Kind(enum.Enum):
    """N of these are handed over."""

    SESSIONS = "sessions"
    FILES = "files"  # memfds of one page in one session
    FOLIOS = "folios"  # pages of one memfd, each a preserved block
    RESERVED = "reserved"  # areas of reserve_mem=

    @property
    def has_program(self) -> bool:
        """Whether user space preserves them; else the command line does."""
        return self is not Kind.RESERVED

    def sizes(self, limit: int) -> tuple[int, ...]:
        """1, 10, ... up to a limit."""
        if self is Kind.RESERVED:
            return tuple(size for size in _RESERVED_SIZES if size <= limit)
        sizes, size = [], 1
        while size <= min(limit, MOST):
            sizes.append(size)
            size *= 10
        return tuple(sizes)


@dataclass(frozen=True)
class Phase:
    """From one mark of a run to another."""

    name: str
    begin: str
    end: str


PHASES = (
    Phase("preserve", marks.PRESERVE, marks.PRESERVED),
    Phase("blackout", marks.JUMP, marks.LEAVE),
    Phase("boot", marks.RESERVE, marks.FREE),
    Phase("retrieve", marks.RETRIEVE, marks.RETRIEVED),
    Phase("finish", marks.RETRIEVED, marks.FINISHED),
)

# Pages that the kernel needs besides what it hands over (khorig.linux.cost.memory).
METADATA = ("tracker", "LUO", "arrays")
