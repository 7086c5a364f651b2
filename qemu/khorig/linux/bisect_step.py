# SPDX-License-Identifier: BSD-3-Clause
"""One commit: built, run, judged."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Callable, Iterator, Sequence

from khorig.guest.chain_run import ChainRun
from khorig.linux.bisect_judgement import Judgement, Outcome, judge
from khorig.linux.bisect_plan import UNDER_TEST, BisectPlan
from khorig.linux.bisect_record import StepRecord
from khorig.linux.bisect_repository import SHOWN
from khorig.linux.peer import Peer
from khorig.run.result import RunResult
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report

Build = Callable[[str], Peer]  # of a commit; raises InfraError
Run = Callable[[ChainRun, Path], RunResult]  # with its artifacts below a folder


class Step:
    """Tests commits as a plan says."""

    def __init__(
        self,
        plan: BisectPlan,
        folder: Path,
        build: Build,
        run: Run,
        describe: Callable[[RunResult], Sequence[str]],
        report: Report,
    ) -> None:
        """`folder` is that of the bisection's artifacts; `describe` makes text of a result;
        `report` gets progress lines."""
        self._plan = plan
        self._folder = folder
        self._build = build
        self._run = run
        self._describe = describe
        self._report = report

    def test(self, commit: str, subject: str) -> StepRecord:
        """Tests the commit, which is checked out. Raises OSError, Interrupted."""
        started_s = time.monotonic()
        try:
            peer = self._build(commit)
        except InfraError as error:
            words = "; ".join((error.what, *_errors(error.evidence)))
            why = f"does not build: {words}"
            built_s = time.monotonic() - started_s
            lines = (error.what, *error.evidence)
            return StepRecord(commit, subject, Outcome.SKIPPED, why, lines=lines, build_s=built_s)
        built_s = time.monotonic() - started_s
        judgement = judge(self._runs(peer, commit), self._plan.match)
        ran_s = time.monotonic() - started_s - built_s
        return _record(commit, subject, judgement, peer, self._text(judgement), built_s, ran_s)

    def _runs(self, peer: Peer, commit: str) -> Iterator[RunResult]:
        kernels = (peer.pinned if name == UNDER_TEST else name for name in self._plan.spec.kernels)
        spec = dataclasses.replace(self._plan.spec, kernels=tuple(kernels))
        for number in range(1, self._plan.repeat + 1):
            result = self._run(spec, self._folder / "steps" / commit[:SHOWN])
            if self._plan.repeat > 1:
                of = f"run {number} of {self._plan.repeat}"
                self._report(f"{of}: {result.verdict.value} {result.cause}".rstrip())
            yield result

    def _text(self, judgement: Judgement) -> tuple[str, ...]:
        if judgement.result is None or judgement.outcome is Outcome.GOOD:
            return ()
        return tuple(self._describe(judgement.result))


def _record(
    commit: str,
    subject: str,
    judgement: Judgement,
    peer: Peer,
    lines: tuple[str, ...],
    built_s: float,
    ran_s: float,
) -> StepRecord:
    return StepRecord(
        commit,
        subject,
        judgement.outcome,
        judgement.why,
        judgement.rule,
        lines,
        judgement.result.rerun if judgement.result else "",
        peer.pinned,
        str(peer.directory),
        round(built_s, 1),
        round(ran_s, 1),
    )


def _errors(lines: Sequence[str]) -> list[str]:
    """The compiler's first error, without what make says of it."""
    return [line.strip() for line in lines if "error:" in line][:1]
