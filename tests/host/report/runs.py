# SPDX-License-Identifier: BSD-3-Clause
"""Folders of runs, written as the engine writes them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from verdict.fake_guest import FakeGuest, sealed_guest

from khorig.guest.spec_json import spec_from_json, spec_to_json
from khorig.out.documents import results_document, verdict_document
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import Phase, RunResult

NASTY = "<script>alert(1)</script> \x1b[31m & \ud7ff"


def result(verdict: Verdict, **spec: Any) -> RunResult:
    """A result with a finding unless it passed; its id is unique by fault and machine."""
    fields: dict[str, Any] = {"arch": "x86_64", "machine": "q35", "generations": 2, **spec}
    run = spec_from_json({"kind": "khorig", **fields})
    finding = Finding(
        "entry hashes", f"page changed {NASTY}", where="0x0000000040100000",
        owner="memblock/mem0 page 0", generation=2, stop="entry",
        evidence=("0x1: 0x2 before, 0x3 now", NASTY), verdict=verdict,
    )  # fmt: skip
    return RunResult(
        spec=run,
        verdict=verdict,
        findings=[] if verdict is Verdict.PASS else [finding, finding],
        generations=2,
        statistics=Statistics(20, 40, 40 << 12, 5, 3, 6, 80),
        phases=[Phase(1, "serialize", 400), Phase(2, "relocate", 300), Phase(2, "restore", 200)],
        wall_s=0.5,
        qemu="7.2.22",
        exit_status=33,
        id=run.id,
        rerun="scripts/khorig run --machine q35",
    )


def picture() -> dict[str, Any]:
    """A map as the judge draws it."""
    drawn: dict[str, Any] = json.loads(_picture())
    return drawn


@functools.cache
def _picture() -> str:
    guest: FakeGuest = sealed_guest()
    guest.first_generation()
    return json.dumps(guest.judge.picture)


def journal(run: RunResult) -> list[dict[str, Any]]:
    """What the run's journal says."""

    def guest(gen: int, t: int, ev: str, **fields: Any) -> dict[str, Any]:
        return {"s": t / 1e6, "ev": "guest", "event": {"ev": ev, "gen": gen, "t": t, **fields}}

    lines = [
        {"s": 0.0, "ev": "start", "id": run.id, "spec": spec_to_json(run.spec)},
        guest(1, 1000, "boot", arch="x86_64", handover=False),
        {"s": 0.01, "ev": "console", "text": f"hello {NASTY}"},
        guest(1, 5000, "phase", name="preserve", ns=1000, pages=40, blocks=20),
        guest(1, 9000, "phase", name="ledger", ns=3500),
        guest(1, 9500, "phase", name="serialize", ns=1400),
        guest(1, 9600, "stop", at="sealed", root="0x1000"),
        {"s": 0.1, "ev": "stop", "gen": 1, "at": "sealed", "host_ms": 2.5},
        {"s": 0.1, "ev": "map", "gen": 1, "at": "sealed", **picture()},
        guest(1, 9700, "jump", to="0x2000"),
        guest(2, 9990, "boot", arch="x86_64", handover=True),
        guest(2, 10400, "phase", name="early-boot", ns=390),
        guest(2, 10900, "phase", name="take-back", ns=100, pages=40),
        guest(2, 11000, "phase", name="restore", ns=300),
        guest(2, 11100, "stop", at="restored"),
        {"s": 0.2, "ev": "stop", "gen": 2, "at": "restored", "host_ms": 1.5},
        guest(2, 12000, "done", status="pass"),
    ]
    for finding in run.findings:
        record = finding.json()
        lines.append({"s": 0.3, "ev": "finding", **record})
    return [*lines, {"s": 0.4, "ev": "verdict", "verdict": run.verdict.value}]


def write_run(folder: Path, run: RunResult) -> Path:
    """The folder of one run."""
    folder.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in journal(run))
    (folder / "events.jsonl").write_text(text)
    (folder / "verdict.json").write_text(verdict_document(run))
    (folder / "console.log").write_text("hello\n")
    return folder


def write_session(folder: Path, runs: list[RunResult]) -> Path:
    """The folder of a session; skipped runs have none of their own."""
    for run in runs:
        if run.verdict is not Verdict.SKIP:
            write_run(folder / run.id, run)
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "results.json").write_text(results_document(runs))
    return folder
