# SPDX-License-Identifier: BSD-3-Clause
"""What came of handing over from one kernel to another."""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """The value is what is printed."""

    ACCEPTED = "accepted"
    REFUSED = "refused cleanly"  # a kernel gave its reason and booted cold; nothing else was wrong
    TAKEN_WRONGLY = "taken wrongly"  # something was lost
    DIED = "died"
    NOT_JUDGED = "not judged"  # skipped, interrupted, or trouble of QEMU or the host

    @property
    def mark(self) -> str:
        """One character."""
        return _MARKS[self]

    @property
    def is_broken(self) -> bool:
        """Whether memory or machine were lost: the grid has failed."""
        return self in (Outcome.TAKEN_WRONGLY, Outcome.DIED)


_MARKS = {
    Outcome.ACCEPTED: "+",
    Outcome.REFUSED: "R",
    Outcome.TAKEN_WRONGLY: "W",
    Outcome.DIED: "D",
    Outcome.NOT_JUDGED: "?",
}
