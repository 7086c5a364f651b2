# SPDX-License-Identifier: BSD-3-Clause
"""A row of the catalogue of bugs."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.way import Way

# Phases of a handover, by the first letter of an id.
PHASES = {
    "R": "register and preserve",
    "S": "serialize",
    "L": "load the next kernel",
    "Q": "shut down and quiesce",
    "J": "relocate and jump",
    "E": "early boot",
    "T": "restore",
    "G": "chains of generations",
    "A": "versions of the format",
    "I": "boot protocols",
    "N": "new in 2026",
}


class State(enum.Enum):
    """What the rig can do about a bug."""

    FOUND = "found"  # a test makes it, and the run fails with the rule that is named
    IMPOSSIBLE = "impossible here"  # nothing that the rig runs on has it
    LINUX_IS_RIGHT = "Linux is right now"


@dataclass(frozen=True)
class Bug:
    """A real bug of KHO, kexec or live update."""

    id: str  # "R4": the first letter is the phase
    what: str
    origin: str  # commit, CVE, mail or file in which it was found
    state: State
    reason: str  # of a state other than FOUND
    ways: tuple[Way, ...]  # to make it; one at least when it is FOUND

    @property
    def phase(self) -> str:
        """In words."""
        return PHASES[self.id[0]]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that find it, each once."""
        return tuple(dict.fromkeys(way.rule for way in self.ways if way.rule))
