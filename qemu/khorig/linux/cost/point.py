# SPDX-License-Identifier: BSD-3-Clause
"""One measured handover."""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

from khorig.linux.cost.kind import PHASES, Kind
from khorig.linux.cost.memory import read_metadata
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

_SAID = re.compile(r"cost: (preserved|restored) (\d{1,9}) of \d{1,9}, errno (\d{1,4})")


@dataclass(frozen=True)
class Point:
    """A handover of `wanted` things from a kernel to itself."""

    kernel: str
    arch: str
    machine: str
    kind: Kind
    wanted: int
    done: int = 0  # what the kernel took
    error: int = 0  # errno of why it took no more
    instructions: Mapping[str, int] = field(default_factory=dict)  # by phase
    pages: Mapping[str, int] = field(default_factory=dict)  # khorig.linux.cost.memory
    why_not: str = ""  # it is no measurement
    run: str = ""  # id

    @property
    def limit(self) -> str:
        """ "819 of 1000: ENOSPC", or "" when all were taken."""
        if self.done >= self.wanted or self.why_not:
            return ""
        name = errno.errorcode.get(self.error, f"errno {self.error}") if self.error else "no more"
        return f"{self.done} of {self.wanted}: {name}"

    def cost(self, name: str) -> int | None:
        """Instructions of a phase or pages of a part; None where that was not measured."""
        if self.why_not:
            return None
        found = self.instructions.get(name)
        return self.pages.get(name) if found is None else found

    def json(self) -> dict[str, Any]:
        """For a document."""
        names = ("kernel", "arch", "machine", "wanted", "done", "error", "why_not", "run")
        return {
            **{name: getattr(self, name) for name in names},
            "kind": self.kind.value,
            "instructions": dict(self.instructions),
            "pages": dict(self.pages),
        }


def read_point(
    result: RunResult, kernel: str, kind: Kind, wanted: int, marks: Mapping[str, int]
) -> Point:
    """From a run and its journal; `marks` are their addresses by name. A run that did not pass, or
    in which a count is missing, is no measurement."""
    spec = result.spec
    why = "" if result.verdict is Verdict.PASS else f"{result.verdict.value}: {result.cause}"
    counts: dict[str, int] = {}
    pages: dict[str, int] = {}
    names = {hex(address): name for name, address in marks.items()}
    for record in _records(result):
        if record["ev"] == "probe" and record["pc"] in names:
            counts.setdefault(names[record["pc"]], record.get("instruction", 0))
        elif record["ev"] == "hook":
            pages |= read_metadata(record)
    phases = {
        phase.name: counts[phase.end] - counts[phase.begin]
        for phase in PHASES
        if phase.begin in counts and phase.end in counts
    }
    due = [phase for phase in PHASES if kind.has_program or phase.name in ("blackout", "boot")]
    missing = [phase.name for phase in due if phase.name not in phases]
    if not why and missing:
        why = f"not counted: {', '.join(missing)}"
    if not why and not pages:
        why = "no handover was decoded"
    done, error = pages.get("areas", 0), 0
    if kind.has_program:
        done, error, lost = _taken(result)
        why = why or lost
    return Point(
        kernel, spec.arch, spec.machine, kind, wanted, done, error, phases, pages, why, result.id
    )


def _taken(result: RunResult) -> tuple[int, int, str]:
    """How many were preserved, the errno of why no more, and what is wrong."""
    said: dict[str, tuple[int, int]] = {}
    for program in result.programs:
        for line in program.output:
            if found := _SAID.search(line):
                said[found[1]] = (int(found[2]), int(found[3]))
    if "preserved" not in said or "restored" not in said:
        return 0, 0, "the program did not say how many it handed over"
    (done, error), (back, _) = said["preserved"], said["restored"]
    if not done:
        return 0, error, f"nothing was preserved (errno {error})"
    return done, error, "" if back == done else f"{done} were preserved, {back} came back"


def _records(result: RunResult) -> Iterator[dict[str, Any]]:
    """The journal that this rig wrote."""
    if not result.directory:
        return
    with (Path(result.directory) / "events.jsonl").open(encoding="utf-8") as file:
        for line in file:
            if '"ev":"probe"' in line or '"ev":"hook"' in line:
                yield json.loads(line)
