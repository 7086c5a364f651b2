# SPDX-License-Identifier: BSD-3-Clause
"""One cell of a grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from khorig.guest.spec import RunSpec
from khorig.linux.grid.outcome import Outcome
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import REFUSAL
from khorig.run.last_look import main_cpu
from khorig.run.result import RunResult

_PLACES = 5  # of a backtrace
_FRAME = re.compile(r"(CPU \d+ )?0x[0-9a-f]+ ")
_PANIC = re.compile(_FRAME.pattern + r"v?panic\+")


@dataclass(frozen=True)
class Cell:
    """Outcome of a chain, with what explains it."""

    outcome: Outcome
    verdict: Verdict
    words: str = ""  # the cause; of a refusal its cause and the kernel's own words
    generation: int = 0  # that refused, lost or died; 0 where it is none's
    kernel: str = ""  # of that generation
    stop: str = ""  # where it was seen, "" between stops
    rule: str = ""  # what was lost: the violated rule, ...
    where: str = ""  # ... the page or address, ...
    owner: str = ""  # ... and its owner
    places: tuple[str, ...] = ()  # where a kernel died, innermost frame first
    rerun: str = ""
    run: str = ""  # id of the run

    def json(self) -> dict[str, Any]:
        """For a document."""
        names = ("words", "generation", "kernel", "stop", "rule", "where", "owner", "run")
        return {
            "outcome": self.outcome.value,
            "verdict": self.verdict.value,
            **{name: getattr(self, name) for name in names},
            "places": list(self.places),
        }


def judge_cell(result: RunResult) -> Cell:
    """What the result of a chain says about the handovers in it."""
    if result.verdict is Verdict.PASS:
        return _passed(result)
    finding = result.findings[0] if result.findings else Finding("", "no cause is on record")
    if result.verdict in (Verdict.SKIP, Verdict.INFRA):
        return _cell(Outcome.NOT_JUDGED, result, finding)
    if result.verdict in (Verdict.CRASH, Verdict.HANG):
        return _cell(Outcome.DIED, result, finding, places=_places(result, finding))
    refusal = result.refusals.get(finding.generation)
    only_refused = all(finding.rule == REFUSAL for finding in result.findings)
    if refusal is None or not only_refused or refusal.is_silent:
        return _cell(Outcome.TAKEN_WRONGLY, result, finding)
    return _cell(Outcome.REFUSED, result, finding, words=refusal.words)


def _passed(result: RunResult) -> Cell:
    """A refusal that was expected is one all the same."""
    for generation in result.spec.expected_refusals:
        refusal = result.refusals.get(generation)
        words = refusal.words if refusal else result.spec.expected_refusals[generation]
        finding = Finding("", words, generation=generation)
        silent = refusal is not None and refusal.is_silent
        outcome = Outcome.TAKEN_WRONGLY if silent else Outcome.REFUSED
        return _cell(outcome, result, finding)
    return Cell(Outcome.ACCEPTED, result.verdict, rerun=result.rerun, run=result.id)


def _cell(
    outcome: Outcome,
    result: RunResult,
    finding: Finding,
    words: str = "",
    places: tuple[str, ...] = (),
) -> Cell:
    generation = finding.generation
    return Cell(
        outcome,
        result.verdict,
        words or finding.what,
        generation,
        _kernel(result.spec, generation),
        finding.stop,
        finding.rule,
        finding.where,
        finding.owner,
        places,
        result.rerun,
        result.id,
    )


def _places(result: RunResult, finding: Finding) -> tuple[str, ...]:
    """What the kernel's last words name, else the backtrace that the rig took, from the caller of
    panic() on."""
    lines = finding.evidence
    if lines and not _FRAME.match(lines[0]):
        return lines[:_PLACES]
    if result.cpus:  # the finding has the innermost frames only
        frames = main_cpu(result.cpus).frames
        lines = tuple(frame.where + " ?" * frame.found_on_stack for frame in frames)
    panics = [number for number, line in enumerate(lines) if _PANIC.match(line)]
    begin = panics[-1] + 1 if panics else 0
    return (lines[begin:] or lines)[:_PLACES]


def _kernel(spec: RunSpec, generation: int) -> str:
    return spec.kernel_of(generation) if 0 < generation <= spec.generations else ""
