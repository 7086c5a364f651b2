# SPDX-License-Identifier: BSD-3-Clause
"""What came of checking an invariant."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.invariant import Invariant, Level


@dataclass(frozen=True)
class Violation:
    """One place where an invariant does not hold."""

    address: int  # physical
    text: str  # one line with what is there and what was expected
    owner: str = ""  # whom the page at `address` belongs to


class Status(enum.Enum):
    """Of an invariant, for one dump."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    ABSENT = "absent"  # the dump has nothing that the invariant is about


@dataclass(frozen=True)
class Outcome:
    """An invariant and its violations in a dump."""

    invariant: Invariant
    status: Status
    violations: tuple[Violation, ...] = ()


def outcome_of(
    invariant: Invariant, violations: tuple[Violation, ...], present: bool
) -> Outcome:
    """`present` says whether the dump has what the invariant is about."""
    if violations:
        failed = invariant.level is Level.FAILED
        return Outcome(invariant, Status.FAILED if failed else Status.WARNING, violations)
    return Outcome(invariant, Status.OK if present else Status.ABSENT)
