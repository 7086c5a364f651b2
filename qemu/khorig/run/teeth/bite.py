# SPDX-License-Identifier: BSD-3-Clause
"""Outcome of an attempt."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.finding import Finding, Verdict
from khorig.run.result import RunResult
from khorig.run.teeth.classes import CLASSES
from khorig.run.teeth.plan import Attempt

_PAGE = 4096


class Outcome(enum.Enum):
    """How a change was found."""

    CAUGHT = "caught"  # FAIL, and its first finding names page and owner
    UNNAMED = "unnamed"  # did not pass, but page or owner is not named
    MISSED = "missed"  # PASS
    UNDONE = "undone"  # not poked, or INFRA


@dataclass(frozen=True)
class Bite:
    """An attempt and its run."""

    attempt: Attempt
    result: RunResult
    outcome: Outcome

    @property
    def is_tooth(self) -> bool:
        """Whether the change was caught."""
        return self.outcome is Outcome.CAUGHT


def bite_of(attempt: Attempt, result: RunResult) -> Bite:
    """Judges the run of an attempt."""
    return Bite(attempt, result, _outcome(attempt, result))


def pages_of(attempt: Attempt, result: RunResult) -> frozenset[int]:
    """Pages that a finding may name: the changed page, which may differ from the survey's without
    icount, and the page it was moved to by the jump."""
    return attempt.moved | {_page(poked.address) for poked in result.poked}


def owner_of(attempt: Attempt, result: RunResult) -> str:
    """The owner that a finding has to name. Pages unowned at the stop, because Linux links them
    later, have the owner of the unmodified run."""
    owners = [poked.owner for poked in result.poked]
    is_known = bool(owners) and CLASSES[attempt.owner_class].owns(owners[0])
    return owners[0] if is_known else attempt.owner


def _outcome(attempt: Attempt, result: RunResult) -> Outcome:
    if not result.poked or result.verdict in (Verdict.INFRA, Verdict.SKIP):
        return Outcome.UNDONE
    if result.verdict is Verdict.PASS:
        return Outcome.MISSED
    first = result.findings[0]
    named = first.owner == owner_of(attempt, result) and _names_page(
        first, pages_of(attempt, result)
    )
    if result.verdict is Verdict.FAIL and named:
        return Outcome.CAUGHT
    return Outcome.UNNAMED


def _names_page(finding: Finding, pages: frozenset[int]) -> bool:
    """Whether the finding's address is in `pages`; not for source locations."""
    try:
        return _page(finding.where) in pages
    except ValueError:
        return False


def _page(address: str) -> int:
    return int(address, 16) // _PAGE * _PAGE
