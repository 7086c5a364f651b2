# SPDX-License-Identifier: BSD-3-Clause
"""khorig's exit status."""

from __future__ import annotations

from typing import Sequence

from khorig.guest import status as guest_status
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

PASS = 0
FAIL = 1
USAGE = 2
INFRA = 3
NOTHING_RAN = 4
BUG = 70  # of khorig's own, as sysexits.h has it: never to be taken for a broken handover
HANG = 124
# Plus the number of the signal: 129 SIGHUP, 130 SIGINT, 143 SIGTERM; 141 (SIGPIPE) when stdout was
# closed by its reader.
SIGNAL = 128


def exit_code(results: Sequence[RunResult]) -> int:
    """Of a session: the worst verdict decides. A verdict about the guest is worse than trouble on
    the host, and a hang is worse than a failure. A guest that refuses its command line has been
    used wrongly, and nothing else."""
    verdicts = {result.verdict for result in results}
    broken = [r for r in results if r.verdict in (Verdict.FAIL, Verdict.CRASH, Verdict.HANG)]
    if broken and all(result.exit_status == guest_status.USAGE for result in broken):
        return USAGE
    if Verdict.HANG in verdicts:
        return HANG
    if verdicts & {Verdict.FAIL, Verdict.CRASH}:
        return FAIL
    if Verdict.INFRA in verdicts:
        return INFRA
    return PASS if Verdict.PASS in verdicts else NOTHING_RAN
