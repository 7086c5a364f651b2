# SPDX-License-Identifier: BSD-3-Clause
"""What came of checking a rule."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.rule import Level, Rule


@dataclass(frozen=True)
class Violation:
    """One place where a rule does not hold."""

    address: int  # physical
    text: str  # one line with what is there and what was expected
    owner: str = ""  # whom the page at `address` belongs to


class Status(enum.Enum):
    """Of a rule, for one dump."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    ABSENT = "absent"  # the dump has nothing that the rule is about


@dataclass(frozen=True)
class Outcome:
    """A rule and its violations in a dump."""

    rule: Rule
    status: Status
    violations: tuple[Violation, ...] = ()

    def __repr__(self) -> str:
        count = f", {len(self.violations)} violations" if self.violations else ""
        return f"<{self.rule.id} {self.status.value}{count}: {self.rule.title}>"


def outcome_of(rule: Rule, violations: tuple[Violation, ...], present: bool) -> Outcome:
    """`present` says whether the dump has what the rule is about."""
    if violations:
        failed = rule.level is Level.FAILED
        return Outcome(rule, Status.FAILED if failed else Status.WARNING, violations)
    return Outcome(rule, Status.OK if present else Status.ABSENT)
