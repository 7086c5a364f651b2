# SPDX-License-Identifier: BSD-3-Clause
"""A run and its repetition, compared."""

from __future__ import annotations

import enum
import re
from typing import Any, Mapping

from khorig.mem.untrusted import printable
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

_NUMBER = re.compile(r"\b(0x[0-9a-fA-F]+|[0-9][0-9.]*)\b")


class Sameness(enum.Enum):
    """How much of the outcome is the same; the value is what is printed."""

    SAME = "same verdict, rule and cause"
    OTHER_NUMBERS = "same verdict and rule; the cause differs in numbers only"
    OTHER_CAUSE = "NOT the same: same verdict and rule, another cause"
    OTHER_RULE = "NOT the same: same verdict, another rule"
    OTHER_VERDICT = "NOT the same: another verdict"
    NOT_RUN = "not repeated: trouble of QEMU or the host"

    @property
    def is_same(self) -> bool:
        """Whether the failure is the one of then."""
        return self in (Sameness.SAME, Sameness.OTHER_NUMBERS)


def sameness(then: RunResult, now: RunResult) -> Sameness:
    """Compares verdict, rule and cause."""
    if now.verdict in (Verdict.INFRA, Verdict.SKIP) and then.verdict is not now.verdict:
        return Sameness.NOT_RUN
    if then.verdict is not now.verdict:
        return Sameness.OTHER_VERDICT
    if then.rule != now.rule:
        return Sameness.OTHER_RULE
    if then.cause == now.cause:
        return Sameness.SAME
    if _NUMBER.sub("#", then.cause) == _NUMBER.sub("#", now.cause):
        return Sameness.OTHER_NUMBERS
    return Sameness.OTHER_CAUSE


def again_lines(then: RunResult, now: RunResult, versions: Mapping[str, Any]) -> list[str]:
    """What is printed behind the repetition. `versions` are those of then, as in run.json."""
    made_with = f"khorig {versions.get('khorig')}, QEMU {then.qemu or versions.get('qemu')}"
    lines = [
        f"then  {_outcome(then)}   ({made_with})",
        f"now   {_outcome(now)}   (QEMU {now.qemu or 'not started'})",
        sameness(then, now).value,
    ]
    return [printable(line) for line in lines]


def _outcome(result: RunResult) -> str:
    return "  ".join(part for part in (result.verdict.value, result.rule, result.cause) if part)
