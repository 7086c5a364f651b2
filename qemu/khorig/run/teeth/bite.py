# SPDX-License-Identifier: BSD-3-Clause
"""What became of an attempt."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from khorig.rules.finding import Finding, Verdict
from khorig.run.result import RunResult
from khorig.run.teeth.classes import CLASSES
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


def pages_of(attempt: Attempt, result: RunResult) -> frozenset[int]:
    """The pages that a finding may name: where the byte was changed, which in a run whose time is
    not counted may be elsewhere than in the run before, and where the jump took it."""
    return attempt.moved | {_page(poked.address) for poked in result.poked}


def owner_of(attempt: Attempt, result: RunResult) -> str:
    """Whom a finding has to name. What nobody owns at the stop, because Linux links to it later, is
    whose it was in the run without damage."""
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
    """Not when it names a place in the guest's source, or none."""
    try:
        return _page(finding.where) in pages
    except ValueError:
        return False


def _page(address: str) -> int:
    return int(address, 16) // _PAGE * _PAGE
