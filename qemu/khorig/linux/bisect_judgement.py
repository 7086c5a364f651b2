# SPDX-License-Identifier: BSD-3-Clause
"""Whether a commit is good, by its runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Iterable

from khorig.guest import status as guest_status
from khorig.rules.finding import Finding, Verdict
from khorig.run.result import RunResult


class Outcome(enum.Enum):
    """Of a commit; the value is the exit status that `git bisect run` takes it from."""

    GOOD = 0
    BAD = 1
    SKIPPED = 125

    @property
    def word(self) -> str:
        """ "good"."""
        return self.name.lower()


@dataclass(frozen=True)
class Judgement:
    """What a run or all runs of a commit say about it."""

    outcome: Outcome
    why: str  # one line
    rule: str = ""  # that is violated
    result: RunResult | None = None  # the run that decides


def judge(results: Iterable[RunResult], match: str) -> Judgement:
    """Of the runs of one commit, which are taken until one is bad. Good is what passes all of them;
    else the first other end is why it is skipped."""
    passed, other = 0, None
    for result in results:
        one = judge_run(result, match)
        if one.outcome is Outcome.BAD:
            return one
        if one.outcome is Outcome.GOOD:
            passed += 1
        else:
            other = other or one
    if other is not None:
        return other
    if not passed:
        return Judgement(Outcome.SKIPPED, "nothing ran")
    return Judgement(Outcome.GOOD, "passed" if passed == 1 else f"passed {passed} of {passed}")


def judge_run(result: RunResult, match: str) -> Judgement:
    """Of one run. With `match` only a failure that has it is bad; another one says nothing about
    the bug that is looked for, which it may hide."""
    verdict, cause = result.verdict, result.cause
    if verdict is Verdict.PASS:
        return Judgement(Outcome.GOOD, "passed", result=result)
    if verdict in (Verdict.INFRA, Verdict.SKIP):
        return Judgement(Outcome.SKIPPED, f"{verdict.value}: {cause}", result=result)
    if result.exit_status == guest_status.USAGE:
        return Judgement(Outcome.SKIPPED, f"khorig refuses its options: {cause}", result=result)
    found = [finding for finding in result.findings if not match or matches(finding, match)]
    if found:
        return Judgement(Outcome.BAD, _words(found[0]), found[0].rule, result)
    why = _words(result.findings[0]) if result.findings else verdict.value
    return Judgement(Outcome.SKIPPED, f"fails without {match}: {why}", result.rule, result)


def matches(finding: Finding, match: str) -> bool:
    """Whether `match` is the violated rule, or is part of the cause or of the owner's name."""
    return finding.rule == match or match in finding.what or match in finding.owner


def _words(finding: Finding) -> str:
    name = finding.rule or finding.verdict.value
    place = f" at {finding.where}" if finding.where and finding.where not in finding.what else ""
    return f"{name} {finding.what}{place}"
