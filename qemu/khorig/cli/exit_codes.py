# SPDX-License-Identifier: BSD-3-Clause
"""What khorig's own exit status means."""

from __future__ import annotations

from typing import Sequence

from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

PASS = 0
FAIL = 1
USAGE = 2
INFRA = 3
NOTHING_RAN = 4
HANG = 124
SIGNAL = 128  # plus the number of the signal: 130 for SIGINT, 143 for SIGTERM


def exit_code(results: Sequence[RunResult]) -> int:
    """Of a session: the worst verdict decides. A verdict about the guest is worse than trouble on
    the host, and a hang is worse than a failure."""
    verdicts = {result.verdict for result in results}
    if Verdict.HANG in verdicts:
        return HANG
    if verdicts & {Verdict.FAIL, Verdict.CRASH}:
        return FAIL
    if Verdict.INFRA in verdicts:
        return INFRA
    return PASS if Verdict.PASS in verdicts else NOTHING_RAN
