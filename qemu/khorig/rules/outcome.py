# SPDX-License-Identifier: BSD-3-Clause
"""Outcome of a static rule."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.rule import Level, Rule


@dataclass(frozen=True)
class Violation:
    """One place that violates a rule."""

    address: int  # physical
    text: str  # one line, found and expected value
    owner: str = ""  # of the page at `address`


class Status(enum.Enum):
    """Status of a rule for one dump."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    ABSENT = "absent"  # not applicable to the dump


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
    """`present`: whether the rule applies to the dump."""
    if violations:
        failed = rule.level is Level.FAILED
        return Outcome(rule, Status.FAILED if failed else Status.WARNING, violations)
    return Outcome(rule, Status.OK if present else Status.ABSENT)
