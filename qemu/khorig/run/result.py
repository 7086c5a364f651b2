# SPDX-License-Identifier: BSD-3-Clause
"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from khorig.guest.poked import Poked
from khorig.guest.program_end import ProgramEnd
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics

if TYPE_CHECKING:
    from khorig.guest.stress_end import StressEnd
    from khorig.run.refusal import Refusal
    from khorig.run.who import Who
    from khorig.vm.cpu_report import CpuReport


@dataclass(frozen=True)
class Phase:
    """A phase timed by the guest; one unit is one instruction under icount."""

    generation: int
    name: str
    instructions: int
    blocks: int = 0
    pages: int = 0


@dataclass
class RunResult:
    """The result of a run."""

    spec: RunSpec
    verdict: Verdict
    findings: Sequence[Finding]
    generations: int  # that booted
    statistics: Statistics
    phases: Sequence[Phase]
    wall_s: float  # from starting QEMU to the verdict
    qemu: str  # version
    exit_status: int | None
    online: Mapping[int, int] = field(default_factory=dict)  # online, of generations that say it
    refusals: Mapping[int, Refusal] = field(default_factory=dict)  # by the generation that refused
    kernels: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of each, by its name
    console_tail: Sequence[str] = ()  # last lines of text, without events
    poked: Sequence[Poked] = ()  # bytes changed by `--poke`
    programs: Sequence[ProgramEnd] = ()  # of the user's, that ended
    stress: Sequence[StressEnd] = ()  # of Linuxes that were told to
    cpus: Sequence[CpuReport] = ()  # of a dead guest
    pci: Sequence[Mapping[str, Any]] = ()  # records of looks at registers that had changed
    images_left_out: int = 0  # images not saved, because of their time limit
    who: Who | None = None  # who changed memory, by the repeated run
    recorded: str = ""  # outcome of repeating a failed run to record it, or ""
    id: str = ""  # unique within the session; folder name of the artifacts
    directory: str = ""  # artifacts, absolute
    rerun: str = ""  # command to repeat the run

    @property
    def rule(self) -> str:
        """Id of the violated rule, or ""."""
        return self.findings[0].rule if self.findings else ""

    @property
    def cause(self) -> str:
        """One line: cause of the failure, or ""."""
        return self.findings[0].what if self.findings else ""
