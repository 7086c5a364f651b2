# SPDX-License-Identifier: BSD-3-Clause
"""What came of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from khorig.guest.poked import Poked
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics


@dataclass(frozen=True)
class Phase:
    """A phase that the guest timed; one unit is one instruction under icount."""

    generation: int
    name: str
    instructions: int
    blocks: int = 0
    pages: int = 0


@dataclass
class RunResult:
    """What came of a run."""

    spec: RunSpec
    verdict: Verdict
    findings: Sequence[Finding]
    generations: int  # that reached their first words
    statistics: Statistics
    phases: Sequence[Phase]
    wall_s: float  # from starting QEMU to the verdict
    qemu: str  # version
    exit_status: int | None
    console_tail: Sequence[str] = ()  # the last lines of text, events left out
    poked: Sequence[Poked] = ()  # what was written into the guest because the run was asked to
    images_left_out: int = 0  # of guest RAM, because keeping them took too long
    recorded: str = ""  # what came of doing a failed run again to record it, or ""
    id: str = ""  # unique within the session; the folder of the artifacts below its own
    directory: str = ""  # artifacts, absolute
    rerun: str = ""  # the command that does it again

    @property
    def rule(self) -> str:
        """The id of the rule that it did not pass by, or ""."""
        return self.findings[0].rule if self.findings else ""

    @property
    def cause(self) -> str:
        """One line: why it did not pass, or ""."""
        return self.findings[0].what if self.findings else ""
