# SPDX-License-Identifier: BSD-3-Clause
"""results.json and verdict.json."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Sequence

from khorig.guest.spec_json import spec_to_json
from khorig.linux.grid.grid import grids_of
from khorig.linux.selftest_outcome import selftests_in
from khorig.run.result import RunResult

_SCHEMA = 1  # of both


def results_document(results: Sequence[RunResult], folder: str = ".") -> str:
    """results.json: all runs of a session, of a grid its cells, of selftests both verdicts.
    `folder` is the session's, seen from the document; the `artifacts` of a run lie below it."""
    document = {"schema": _SCHEMA, "folder": folder, "runs": [_run(result) for result in results]}
    if selftests := selftests_in(results):
        document["selftests"] = [outcome.json() for outcome in selftests]
    if grids := grids_of(results):
        document["grids"] = [grid.json() for grid in grids]
    return _json(document)


def verdict_document(result: RunResult) -> str:
    """verdict.json: everything about one run."""
    return _json(
        {
            "schema": _SCHEMA,
            **_run(result),
            "exit_status": result.exit_status,
            "findings": [finding.json() for finding in result.findings],
            "statistics": dataclasses.asdict(result.statistics),
            "refusals": {str(gen): refusal.json() for gen, refusal in result.refusals.items()},
            "phases": [dataclasses.asdict(phase) for phase in result.phases],
            "cpus": [cpu.record() for cpu in result.cpus],
            "programs": [dataclasses.asdict(program) for program in result.programs],
            "pci": list(result.pci),
            "stress": [dataclasses.asdict(stress) for stress in result.stress],
            "poked": [dataclasses.asdict(poked) for poked in result.poked],
            "who": result.who.json() if result.who else None,
            "recorded": result.recorded,
            "rerun": result.rerun,
        }
    )


def _run(result: RunResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "arch": result.spec.arch,
        "machine": result.spec.machine,
        "scenario": result.spec.what,
        "verdict": result.verdict.value,
        "rule": result.rule,
        "cause": result.cause,
        "generations": result.generations,
        "preserved_blocks": result.statistics.preserved_blocks,
        "preserved_bytes": result.statistics.preserved_bytes,
        "fragments": result.statistics.fragments,
        "fragment_depth": result.statistics.fragment_depth,
        "wall_s": result.wall_s,
        "qemu": result.qemu,
        "seed": result.spec.seed,
        "spec": spec_to_json(result.spec),
        "online": {str(generation): count for generation, count in result.online.items()},
        "kernels": dict(result.kernels),
        "artifacts": result.id if result.directory else None,
    }


def _json(document: Any) -> str:
    return json.dumps(document, indent=1) + "\n"
