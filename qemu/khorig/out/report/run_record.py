# SPDX-License-Identifier: BSD-3-Clause
"""Reads a run from its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import LeftOn
from khorig.guest.poked import Poked
from khorig.guest.program_end import ProgramEnd
from khorig.guest.stress_end import StressEnd
from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_from_json
from khorig.mem.untrusted import (
    count,
    fields,
    items,
    number,
    read_object,
    text,
    texts,
    typed,
    Untrusted,
)
from khorig.out.plain import verbose_text
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.refusal import Refusal
from khorig.run.who import Who
from khorig.run.result import Phase, RunResult
from khorig.vm.errors import InfraError

JOURNAL = "events.jsonl"
_VERDICT = "verdict.json"
_LARGEST = 256 << 20  # bytes of a journal; console output is limited to less
_LONGEST_LINE = 64 << 20  # a picture of memory has a line for itself


@dataclass(frozen=True)
class LogLine:
    """A line of the log in a report."""

    seconds: float  # since the start of the run
    generation: int
    kind: str  # "console", "guest", "stop", "finding", "hook", "end"
    text: str


@dataclass
class RunRecord:
    """A run read from its folder."""

    folder: Path
    result: RunResult
    guest: list[Mapping[str, Any]] = field(default_factory=list)  # the guest's events
    stops: list[Mapping[str, Any]] = field(default_factory=list)  # checks of memory by the host
    maps: list[Mapping[str, Any]] = field(default_factory=list)  # khorig.run.memory_picture
    counters: list[Mapping[str, Any]] = field(default_factory=list)  # khorig.run.counters
    log: list[LogLine] = field(default_factory=list)
    damaged: int = 0  # unreadable lines of the journal

    @property
    def started(self) -> bool:
        """Whether the run was started."""
        return bool(self.log or self.guest)


def read_run(folder: Path) -> RunRecord:
    """Reads the folder of a run, complete or not. Raises InfraError if it has no run."""
    journal = folder / JOURNAL
    if not journal.is_file() and not (folder / _VERDICT).is_file():
        raise InfraError(f"{folder}: no {JOURNAL} (expected the folder of a run)")
    record = RunRecord(folder, unknown_result())
    spec: RunSpec | None = None
    for line in _lines(journal):
        try:
            entry = read_object(line, _LONGEST_LINE)
            if entry["ev"] == "start":
                spec = spec_from_json(entry["spec"])
            else:
                _take(record, entry)
        except (KeyError, Untrusted):
            record.damaged += 1
    record.result = _read_verdict(folder, spec)
    return record


def _lines(journal: Path) -> Iterator[str]:
    try:
        if journal.stat().st_size > _LARGEST:
            raise InfraError(f"{journal}: more than {_LARGEST} bytes")
        with journal.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except FileNotFoundError:
        return


def _take(record: RunRecord, entry: Mapping[str, Any]) -> None:
    kind, seconds = text(entry["ev"]), number(entry["s"])
    generation = record.log[-1].generation if record.log else 0
    if kind == "guest":
        event = fields(entry["event"])
        generation = count(event["gen"])
        count(event["t"])  # who draws it needs both
        text(event["ev"])
        record.guest.append({**event, "s": seconds})
    elif kind == "stop":
        record.stops.append(
            {
                "s": seconds,
                "gen": count(entry["gen"]),
                "at": text(entry["at"]),
                "host_ms": number(entry["host_ms"]),
            }
        )
    elif kind in ("map", "counter"):
        (record.maps if kind == "map" else record.counters).append(entry)
        return
    line = _line(kind, entry)
    if line is not None:
        record.log.append(LogLine(seconds, generation, kind, line))


def _line(kind: str, entry: Mapping[str, Any]) -> str | None:
    if kind == "finding":
        rule, what = text(entry["rule"]), text(entry["what"])
        return f"{rule}: {what}" if rule else what
    if kind == "verdict":
        return text(entry["verdict"])
    if kind == "hook":
        items(entry["lines"])
    if kind == "devices":
        for left_on in items(entry["left_on"]):
            typed(LeftOn, left_on, pci=lambda place: None)  # not shown
        texts(entry["unread"])
    if kind == "pci":
        texts([fields(change)["text"] for change in items(entry["changes"])])
        texts([entry[name] for name in ("at", "since", "unread")])
    return verbose_text(entry)


def _read_verdict(folder: Path, spec: RunSpec | None) -> RunResult:
    try:
        data = (folder / _VERDICT).read_bytes()
        result = read_result(read_object(data, _LARGEST), spec)
    except (OSError, Untrusted) as error:
        result = unknown_result(spec)
        why = error.strerror if isinstance(error, OSError) else error
        what = f"no verdict: {_VERDICT} cannot be read: {why}"
        result.findings = [Finding("", what, verdict=Verdict.INFRA)]
    result.directory = str(folder)
    result.id = result.id or folder.name
    return result


def read_result(document: Any, spec: RunSpec | None = None) -> RunResult:
    """From verdict.json, or from a run in results.json. Raises Untrusted."""
    found = typed(_Document, document, **_DOCUMENT)
    if not found.findings and found.cause:
        found.findings = [Finding("", found.cause, verdict=found.verdict)]
    return RunResult(
        spec=found.spec or spec or KhorigRun("unknown", "unknown"),
        verdict=found.verdict,
        findings=found.findings,
        generations=found.generations,
        statistics=found.statistics,
        phases=found.phases,
        wall_s=found.wall_s,
        qemu=found.qemu,
        exit_status=found.exit_status,
        poked=found.poked,
        programs=found.programs,
        stress=found.stress,
        who=found.who,
        recorded=found.recorded,
        id=found.id,
        rerun=found.rerun,
        online=found.online,
        refusals=found.refusals,
        kernels=found.kernels,
    )


@dataclass
class _Document:
    """What is read of verdict.json, or of a run in results.json."""

    id: str
    verdict: Verdict
    generations: int
    wall_s: float
    qemu: str
    cause: str = ""
    recorded: str = ""
    who: Who | None = None
    rerun: str = ""
    exit_status: int | None = None
    spec: RunSpec | None = None
    findings: list[Finding] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)
    phases: list[Phase] = field(default_factory=list)
    poked: list[Poked] = field(default_factory=list)
    programs: list[ProgramEnd] = field(default_factory=list)
    stress: list[StressEnd] = field(default_factory=list)
    online: dict[int, int] = field(default_factory=dict)
    refusals: dict[int, Refusal] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)


_DOCUMENT = {
    "verdict": Verdict,
    "spec": spec_from_json,
    "findings": lambda value: [Finding.of(item) for item in items(value)],
    "statistics": lambda value: Statistics.of(fields(value)),
    "phases": lambda value: [typed(Phase, item) for item in items(value)],
    "online": lambda value: {int(text(name)): count(it) for name, it in fields(value).items()},
    "refusals": lambda value: {int(text(n)): Refusal.of(it) for n, it in fields(value).items()},
    "kernels": lambda value: {text(name): text(it) for name, it in fields(value).items()},
    "who": Who.of,
    "poked": lambda value: [typed(Poked, item) for item in items(value)],
    "programs": lambda value: [typed(ProgramEnd, item) for item in items(value)],
    "stress": lambda value: [typed(StressEnd, item) for item in items(value)],
}


def unknown_result(spec: RunSpec | None = None) -> RunResult:
    """The result of a run without a verdict."""
    spec = spec or KhorigRun("unknown", "unknown")
    return RunResult(spec, Verdict.INFRA, [], 0, Statistics(), [], 0.0, "", None)
