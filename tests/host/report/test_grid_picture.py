# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a grid of kernels in the report of its session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from report.page_checker import checked_text
from report.runs import NASTY, write_session

from khorig.guest.chain_run import ChainRun
from khorig.linux.grid.grid import grids_of
from khorig.out.report.grid_picture import draw_grids
from khorig.out.report.page import write_report
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.refusal import Refusal
from khorig.run.result import RunResult

NEW, OLD = "linux-7.3:ff25e2c7", "linux-7.2:155c0891"


def result(*kernels: str, finding: Finding | None = None, **fields: Any) -> RunResult:
    spec = ChainRun("arm64", "virt", kernels=kernels)
    return RunResult(
        spec,
        finding.verdict if finding else Verdict.PASS,
        [finding] if finding else [],
        2, Statistics(), [], 0.5, "7.2.22", 33, id=spec.id, **fields,
    )  # fmt: skip


def some() -> list[RunResult]:
    """Every outcome."""
    refused = Finding("KHR-I101", "generation 2 refused its handover", generation=2)
    return [
        result(NEW, NEW),
        result(NEW, OLD, finding=refused, refusals={2: Refusal("magic", NASTY)}),
        result(NEW, "khorig", OLD, finding=Finding("KHR-I091", NASTY, generation=2)),
        result(OLD, NEW, finding=Finding("", "panic", generation=2, verdict=Verdict.CRASH)),
        result(OLD, OLD, finding=Finding("", "interrupted", verdict=Verdict.SKIP)),
    ]


def test_each_chain_is_a_square_that_leads_to_its_run(tmp_path: Path) -> None:
    html = write_report(write_session(tmp_path / "session", some())).read_text(encoding="utf-8")
    text = checked_text(html)
    assert "arm64 (virt) from row to column" in text
    assert "through khorig (A,khorig,B)" in text and "R refused cleanly" in text
    squares = re.findall(r'<a href="#run(\d)"><g class="g-(\w+)">', html)
    assert sorted(squares) == [
        ("1", "accepted"), ("2", "refused"), ("3", "wrong"), ("4", "died"), ("5", "unjudged"),
    ]  # fmt: skip
    for number, _ in squares:
        assert f'id="run{number}"' in html


def test_what_a_guest_says_is_no_markup(tmp_path: Path) -> None:
    html = write_report(write_session(tmp_path / "session", some())).read_text(encoding="utf-8")
    assert NASTY not in html and "<script>alert" not in html


def test_other_sessions_have_no_grid(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "session", [result(NEW, OLD), result(NEW, "khorig", OLD)])
    assert 'class="grid-of-kernels"' not in write_report(folder).read_text(encoding="utf-8")


def test_squares_lie_inside_and_do_not_touch() -> None:
    long = "linux-7.3@DEFERRED_STRUCT_PAGE_INIT@KASAN"
    runs = [result(a, b) for a in (NEW, OLD, long) for b in (NEW, OLD, long)]
    runs += [result(a, b, a, b) for a in (NEW, long) for b in (NEW, long)]
    [picture] = draw_grids(grids_of(runs), {})
    places = sorted((part.x, part.y) for part in picture.parts)
    assert len(places) == 13
    for x, y in places:
        assert x >= max(len(label.text) for label in picture.rows) * 7
        assert x + picture.part <= picture.width and y + picture.part <= picture.height
        near = [p for p in places if abs(p[0] - x) < picture.part and abs(p[1] - y) < picture.part]
        assert near == [(x, y)]
    for label, beside in zip(picture.columns, picture.columns[1:]):
        assert label.x + len(label.text) * 7 < beside.x, "names do not run into each other"
    assert picture.columns[-1].title == long and picture.columns[-1].text.endswith("…")
    assert all(not part.link for part in picture.parts)
