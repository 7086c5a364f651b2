# SPDX-License-Identifier: BSD-3-Clause
"""What `khorig bench linux` makes of what runs have left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from khorig.api.rig_result import RigResult
from khorig.guest.chain_run import ChainRun
from khorig.out.linux_comparison import Cost, cost_of, render_comparison
from khorig.rules.finding import Verdict
from khorig.run.judging import Statistics

MS = 1_000_000


def ran(folder: Path, events: list[dict[str, Any]], counted: bool = True) -> RigResult:
    lines = [json.dumps({"s": e["t"] / 1e9, "ev": "guest", "event": e}) for e in events]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    spec = ChainRun("x86_64", "q35", kernels=("khorig",) * 2, counted=counted)
    return RigResult(
        spec, Verdict.PASS, (), 2, Statistics(), (), 0.0, "", 33, directory=str(folder)
    )


def event(kind: str, generation: int, ms: int, **fields: Any) -> dict[str, Any]:
    return {"ev": kind, "gen": generation, "t": ms * MS, **fields}


def test_idle_time_is_no_work(tmp_path: Path) -> None:
    """The first kernel was idle for 300 ms before its jump, the second for 100 ms after it."""
    run = [event("jump", 1, 1000, idle_ms=300), event("done", 2, 1500, idle_ms=100)]
    assert cost_of(ran(tmp_path, run)) == Cost(1.5, 0.5, 1100 * MS, 400 * MS)


def test_a_kernel_that_says_nothing_of_idling_was_at_work(tmp_path: Path) -> None:
    run = [event("jump", 1, 250), event("done", 2, 500)]
    assert cost_of(ran(tmp_path, run)) == Cost(0.5, 0.25, 500 * MS, 250 * MS)


def test_instructions_are_unknown_where_time_does_not_go_by_them(tmp_path: Path) -> None:
    run = [event("jump", 1, 250), event("done", 2, 500)]
    assert cost_of(ran(tmp_path, run, counted=False)).instructions == 0


def test_a_run_without_end_has_no_cost(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="done"):
        cost_of(ran(tmp_path, [event("jump", 1, 250)]))


def test_ratios_are_of_medians() -> None:
    linux = [Cost(wall, 2.0, 900 * MS, 300 * MS) for wall in (9.0, 6.0, 50.0)]
    khorig = [Cost(0.3, 0.1, 9 * MS, 3 * MS)]
    lines = render_comparison("q35", "linux-7.3", (linux, khorig), (linux, khorig))
    numbers = [line.split()[-3:] for line in lines[2:]]
    assert numbers == [
        ["9.00", "0.30", "30.0x"],
        ["2.00", "0.10", "20.0x"],
        ["900.00", "9.00", "100.0x"],
        ["300.00", "3.00", "100.0x"],
    ]
