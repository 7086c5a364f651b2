# SPDX-License-Identifier: BSD-3-Clause
"""A run as its folder tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poked import Poked
from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_from_json
from khorig.out.plain import verbose_text
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import Phase, RunResult
from khorig.vm.errors import InfraError

JOURNAL = "events.jsonl"
_VERDICT = "verdict.json"
_LARGEST = 256 << 20  # bytes of a journal; the console is limited to less


@dataclass(frozen=True)
class LogLine:
    """A line of the log as people read it."""

    seconds: float  # since the run began
    generation: int
    kind: str  # "console", "guest", "stop", "finding", "hook", "end"
    text: str


@dataclass
class RunRecord:
    """What is known of a run."""

    folder: Path
    result: RunResult
    guest: list[Mapping[str, Any]] = field(default_factory=list)  # the guest's events
    stops: list[Mapping[str, Any]] = field(default_factory=list)  # the host's looks at memory
    maps: list[Mapping[str, Any]] = field(default_factory=list)  # khorig.run.memory_picture
    log: list[LogLine] = field(default_factory=list)
    damaged: int = 0  # lines of the journal that make no sense

    @property
    def started(self) -> bool:
        """Whether there is more to tell than the result."""
        return bool(self.log or self.guest)


def read_run(folder: Path) -> RunRecord:
    """Reads the folder of a run, of a passing or a failed one, whole or not. Raises InfraError
    when there is no run in it."""
    journal = folder / JOURNAL
    if not journal.is_file() and not (folder / _VERDICT).is_file():
        raise InfraError(f"{folder}: there is no {JOURNAL}, so this is no run")
    record = RunRecord(folder, unknown_result())
    spec: RunSpec | None = None
    for line in _lines(journal):
        try:
            entry = json.loads(line)
            if entry["ev"] == "start":
                spec = spec_from_json(entry["spec"])
            else:
                _take(record, entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
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
    kind = entry["ev"]
    generation = record.log[-1].generation if record.log else 0
    if kind == "guest":
        event = entry["event"]
        generation = int(event["gen"])
        int(event["t"])  # who draws it needs both
        record.guest.append({**event, "s": float(entry["s"])})
    elif kind == "stop":
        record.stops.append(
            {
                **entry,
                "s": float(entry["s"]),
                "gen": int(entry["gen"]),
                "host_ms": float(entry["host_ms"]),
            }
        )
    elif kind == "map":
        record.maps.append(entry)
        return
    text = _text(kind, entry)
    if text is not None:
        record.log.append(LogLine(float(entry["s"]), generation, str(kind), text))


def _text(kind: str, entry: Mapping[str, Any]) -> str | None:
    if kind == "finding":
        return f"{entry['rule']}: {entry['what']}" if entry["rule"] else str(entry["what"])
    if kind == "verdict":
        return str(entry["verdict"])
    return verbose_text(entry)


def _read_verdict(folder: Path, spec: RunSpec | None) -> RunResult:
    try:
        document = json.loads((folder / _VERDICT).read_text(encoding="utf-8"))
        result = read_result(document, spec)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        result = unknown_result(spec)
        what = f"no verdict: {_VERDICT} cannot be read ({type(error).__name__})"
        result.findings = [Finding("", what, verdict=Verdict.INFRA)]
    result.directory = str(folder)
    result.id = result.id or folder.name
    return result


def read_result(document: Mapping[str, Any], spec: RunSpec | None = None) -> RunResult:
    """From verdict.json, or from a run in results.json. Raises KeyError, TypeError, ValueError."""
    findings = []
    for entry in document.get("findings", ()):
        values: dict[str, Any] = {**entry, "evidence": tuple(map(str, entry["evidence"]))}
        values["verdict"] = Verdict(entry["verdict"])
        findings.append(Finding(**values))
    verdict = Verdict(document["verdict"])
    if not findings and document.get("cause"):
        findings.append(Finding("", str(document["cause"]), verdict=verdict))
    if "spec" in document:
        spec = spec_from_json(document["spec"])
    return RunResult(
        spec=spec or KhorigRun("unknown", "unknown"),
        verdict=verdict,
        findings=findings,
        generations=int(document["generations"]),
        statistics=Statistics.of(document.get("statistics", {})),
        phases=[Phase(**phase) for phase in document.get("phases", ())],
        wall_s=float(document["wall_s"]),
        qemu=str(document["qemu"]),
        exit_status=document.get("exit_status"),
        poked=[Poked(**poked) for poked in document.get("poked", ())],
        recorded=str(document.get("recorded", "")),
        id=str(document["id"]),
        rerun=str(document.get("rerun", "")),
    )


def unknown_result(spec: RunSpec | None = None) -> RunResult:
    """For a run whose verdict nobody knows."""
    spec = spec or KhorigRun("unknown", "unknown")
    return RunResult(spec, Verdict.INFRA, [], 0, Statistics(), [], 0.0, "", None)
