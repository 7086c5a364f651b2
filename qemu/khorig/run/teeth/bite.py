# SPDX-License-Identifier: BSD-3-Clause
"""What became of an attempt."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.finding import Finding, Verdict
from khorig.run.result import RunResult
from khorig.run.teeth.plan import Attempt

_PAGE = 4096


class Outcome(enum.Enum):
    """Whether the verdict had teeth."""

    CAUGHT = "caught"  # FAIL, and its first finding names page and owner
    UNNAMED = "unnamed"  # it did not pass, but nobody says which page or whose
    MISSED = "missed"  # it passed
    UNDONE = "undone"  # nothing was poked, or the run says nothing about the guest


@dataclass(frozen=True)
class Bite:
    """An attempt and its run."""

    attempt: Attempt
    result: RunResult
    outcome: Outcome

    @property
    def is_tooth(self) -> bool:
        """Whether it was found as it has to be."""
        return self.outcome is Outcome.CAUGHT


def bite_of(attempt: Attempt, result: RunResult) -> Bite:
    """Judges a run in which the attempt was made."""
    return Bite(attempt, result, _outcome(attempt, result))


def _outcome(attempt: Attempt, result: RunResult) -> Outcome:
    if not result.poked or result.verdict in (Verdict.INFRA, Verdict.SKIP):
        return Outcome.UNDONE
    if result.verdict is Verdict.PASS:
        return Outcome.MISSED
    first = result.findings[0]
    named = first.owner == attempt.owner and _page(first) in attempt.pages
    if result.verdict is Verdict.FAIL and named:
        return Outcome.CAUGHT
    return Outcome.UNNAMED


def _page(finding: Finding) -> int | None:
    """What it names; None for a place in the guest's source, or none."""
    try:
        return int(finding.where, 16) // _PAGE * _PAGE
    except ValueError:
        return None
