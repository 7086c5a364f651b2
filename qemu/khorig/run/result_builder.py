# SPDX-License-Identifier: BSD-3-Clause
"""Builds a result from a journal."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Mapping

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.poked import Poked
from khorig.guest.program_end import OUTPUT_LINES, ProgramEnd
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import Phase, RunResult
from khorig.vm.machines import machine_named

if TYPE_CHECKING:
    from khorig.guest.stress_end import StressEnd
    from khorig.run.refusal import Refusal
    from khorig.run.who import Who
    from khorig.vm.cpu_report import CpuReport


class ResultBuilder:
    """Builds the result of a run from its journal, live or replayed."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._shift = machine_named(spec.machine).icount_shift(spec.boot)
        self._findings: list[Finding] = []
        self._phases: list[Phase] = []
        self._poked: list[Poked] = []
        self._images_left_out = 0
        self._online: dict[int, int] = {}
        self._refusals: dict[int, Refusal] = {}
        self._kernels: Mapping[str, str] = {}
        self._who: Who | None = None
        self._cpus: tuple[CpuReport, ...] = ()
        self._pci: list[Mapping[str, Any]] = []
        self._verdict: Mapping[str, Any] | None = None
        self._jump_ns: int | None = None
        self._text: deque[str] = deque(maxlen=OUTPUT_LINES)  # since the last event
        self._programs: dict[tuple[int, int], ProgramEnd] = {}
        self._stress: dict[int, StressEnd] = {}

    def __call__(self, record: Mapping[str, Any]) -> None:
        """One line of the journal."""
        if record["ev"] == "start":
            self._kernels = record["kernels"]
        elif record["ev"] == "console":
            if record["text"].strip():
                self._text.append(record["text"].rstrip())
        elif record["ev"] == "guest":
            self._on_guest(record["event"])
            self._text.clear()
        elif record["ev"] == "finding":
            self._findings.append(Finding.of(record))
        elif record["ev"] == "hook" and "poke" in record:
            self._poked.append(Poked(**{f.name: record[f.name] for f in fields(Poked)}))
        elif record["ev"] == "image" and "left_out" in record:
            self._images_left_out += 1
        elif record["ev"] == "who":
            from khorig.run.who import Who  # of few runs, as are the CPUs below

            self._who = Who.of(record)
        elif record["ev"] == "cpus":
            from khorig.vm.cpu_report import CpuReport

            self._cpus = tuple(CpuReport.of(cpu) for cpu in record["cpus"])
        elif record["ev"] == "pci" and record["changes"]:
            names = ("gen", "at", "since", "changes")
            self._pci.append({name: record[name] for name in names})
        elif record["ev"] == "verdict":
            self._verdict = record

    def _on_guest(self, event: Mapping[str, Any]) -> None:
        kind, generation, now = event["ev"], int(event["gen"]), int(event["t"])
        online = event.get({"boot": "cpus", "cpus": "online"}.get(kind, ""))
        if type(online) is int and online > 0:
            self._online[generation] = online
        if kind == "refused":
            from khorig.run.refusal import Refusal  # in few runs

            self._refusals[generation] = Refusal.of_event(event)
        elif kind == "program":
            with contextlib.suppress(EventFieldError):  # the run has reported it
                seen = GuestEvent(kind, generation, now, 0.0, event)
                program = ProgramEnd.of(seen, self._spec, tuple(self._text))
                if program.number < len(self._spec.programs_of(generation)):
                    self._programs[generation, program.number] = program
        elif kind == "stress":
            from khorig.guest.stress_end import StressEnd  # in few runs

            with contextlib.suppress(EventFieldError):  # the run has reported it
                end = StressEnd.of(GuestEvent(kind, generation, now, 0.0, event))
                self._stress[generation] = end
        elif kind == "jump":
            self._jump_ns = now
        elif kind == "quiesce" and self._jump_ns is not None:
            self._jump_ns += waits_of(event)
        elif kind == "boot" and self._jump_ns is not None:
            instructions = (now - self._jump_ns) >> self._shift
            self._phases.append(Phase(generation, "relocate", instructions))
        elif kind == "phase":
            counts = [event.get(name, 0) for name in ("ns", "blocks", "pages")]
            if isinstance(event.get("name"), str) and all(isinstance(c, int) for c in counts):
                counts[0] >>= self._shift
                self._phases.append(Phase(generation, event["name"], *counts))

    def result(self) -> RunResult:
        """The result; INFRA if the journal has no verdict."""
        verdict = self._verdict
        if verdict is None:
            finding = Finding("", "no verdict in the journal", verdict=Verdict.INFRA)
            return skipped_result(self._spec, finding)
        return RunResult(
            spec=self._spec,
            verdict=Verdict(verdict["verdict"]),
            findings=self._findings,
            generations=verdict["generations"],
            statistics=Statistics.of(verdict["statistics"]),
            phases=self._phases,
            wall_s=verdict["wall_s"],
            qemu=verdict["qemu"],
            exit_status=verdict["exit_status"],
            online=self._online,
            refusals=self._refusals,
            kernels=self._kernels,
            console_tail=verdict["console_tail"],
            poked=self._poked,
            images_left_out=self._images_left_out,
            who=self._who,
            programs=tuple(self._programs.values()),
            stress=tuple(self._stress.values()),
            cpus=self._cpus,
            pci=self._pci,
        )


def waits_of(event: Mapping[str, Any]) -> int:
    """How long a kernel waits before its jump for the rig's sake, ns."""
    waits = event.get("waits", 0)
    return waits if type(waits) is int and waits > 0 else 0


def skipped_result(spec: RunSpec, finding: Finding) -> RunResult:
    """The result of a run that was not started; the finding has the reason."""
    return RunResult(spec, finding.verdict, [finding], 0, Statistics(), [], 0.0, "", None)
