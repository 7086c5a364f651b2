# SPDX-License-Identifier: BSD-3-Clause
"""khorig's step of a bisection with a builder and runs that do what history.FILE says. As a program
it takes the words of khorig.cli.bisect_step."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Iterator, Sequence

from khorig.cli.bisect_step import end, main
from khorig.guest.chain_run import ChainRun
from khorig.linux.bisect_plan import BisectPlan
from khorig.linux.bisect_step import Step
from khorig.linux.commit_source import peer_name
from khorig.linux.peer import Peer, cache_directory
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import RunResult
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report

FILE = "kernel/liveupdate/end"
_PAGE = "0x000000001f2c4000"


def _finding(word: str) -> Finding:
    if word in ("fail", "other"):
        rule = "KHR-I047" if word == "fail" else "KHR-I080"
        return Finding(rule, f"page {_PAGE} is not preserved", _PAGE, "memblock/reference", 2)
    return Finding("", f"it ends with {word}", verdict=Verdict(word))


class Fake:
    """Builds and runs; what it did is in the folder `done`."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._done = folder / "done"
        self._done.mkdir(exist_ok=True)
        self._report = report
        self._words: Iterator[str] = iter(())
        self._last = ""

    def build(self, commit: str) -> Peer:
        """Raises InfraError where the word is nobuild."""
        with (self._done / "builds").open("a") as sink:
            sink.write(commit + "\n")
        self._words = iter(Path(FILE).read_text().split())
        self._last = next(self._words)
        if self._last == "nobuild":
            raise InfraError("building failed: make exited with status 2", ("mm/a.c:1: error: x",))
        if self._last == "bug":
            raise RuntimeError("a bug in khorig")
        if self._last == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._last == "slow" and not (self._done / "go").exists():
            while True:
                self._report("building for ever")
                time.sleep(0.05)
        folder = cache_directory() / "peers" / peer_name(commit)
        folder.mkdir(parents=True, exist_ok=True)
        return Peer("x86_64", peer_name(commit), "7.3.4", folder)

    def run(self, spec: ChainRun, out: Path) -> RunResult:
        """The end that the next word says."""
        word, self._last = self._last, next(self._words, self._last)
        if word in ("pass", "slow"):
            return _result(spec, Verdict.PASS, ())
        finding = _finding(word)
        return _result(spec, finding.verdict, (finding,))


def _result(spec: ChainRun, verdict: Verdict, findings: Sequence[Finding]) -> RunResult:
    rerun = f"scripts/khorig linux run --chain {','.join(spec.kernels)}"
    none = Statistics()
    return RunResult(spec, verdict, findings, 2, none, (), 1.0, "7.2", None, rerun=rerun)


def _make(plan: BisectPlan, folder: Path, report: Report) -> Step:
    fake = Fake(folder, report)
    return Step(plan, folder, fake.build, fake.run, lambda r: [repr(f) for f in r.findings], report)


if __name__ == "__main__":
    end(main(sys.argv[1:], _make))
