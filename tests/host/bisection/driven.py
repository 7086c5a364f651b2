# SPDX-License-Identifier: BSD-3-Clause
"""A bisection of a history, with the fake step."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bisection.history import History

from khorig.guest.chain_run import ChainRun
from khorig.linux.bisect import BisectResult, Bisection
from khorig.linux.bisect_plan import BisectPlan, write_plan

FAKE_STEP = Path(os.path.abspath(__file__)).with_name("fake_step.py")
CHAIN = ChainRun("x86_64", "q35", kernels=("source", "khorig", "source"), counted=False)


class Driven:
    """Bisects from the first to the last commit."""

    def __init__(self, history: History, folder: Path, match: str = "", repeat: int = 1) -> None:
        self.folder = folder
        self.told: list[str] = []
        folder.mkdir(exist_ok=True)
        self.plan = BisectPlan(
            source=str(history.folder),
            good=history.commits[0],
            bad=history.commits[-1],
            spec=CHAIN,
            match=match,
            repeat=repeat,
        )
        write_plan(self.plan, folder)

    def run(self) -> BisectResult:
        """Raises as Bisection does."""
        step = (sys.executable, str(FAKE_STEP))
        return Bisection(self.plan, self.folder, step, self.told.append).run(lambda result: None)

    def built(self) -> list[str]:
        """Commits, in the order of their builds."""
        return (self.folder / "done/builds").read_text().split()
