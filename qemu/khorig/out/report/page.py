# SPDX-License-Identifier: BSD-3-Clause
"""Writes report.html and trace.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from khorig.mem.untrusted import Untrusted, fields, items, read_object, text
from khorig.linux.grid.grid import grids_of
from khorig.linux.grid.hops import Hops
from khorig.out.costs import jump_cost
from khorig.out.report.grid_picture import draw_grids, legend
from khorig.out.report.run_record import JOURNAL, RunRecord, read_result, read_run
from khorig.out.report.run_view import Detail, RunView, view_run
from khorig.out.report.templates import render
from khorig.out.report.terminal_picture import report_svg
from khorig.out.report.trace import trace_document
from khorig.rules.finding import Verdict
from khorig.run.artifacts import write_whole
from khorig.run.result import RunResult
from khorig.vm.errors import InfraError

PAGE = "report.html"
TRACE = "trace.json"
_RESULTS = "results.json"
_LARGEST = 256 << 20  # bytes
_FEW, _MANY = 6, 40  # runs of a session drawn in full, drawn at all


def write_report(folder: Path) -> Path:
    """Writes report.html and trace.json into the folder of a session or run; returns the page's
    path. Raises InfraError if there is nothing to report, or on write errors."""
    records = read_records(folder)
    views = _views(records, folder)
    try:
        write_whole(folder / TRACE, trace_document(records))
        write_whole(folder / PAGE, render_page(views, folder))
    except OSError as error:
        raise InfraError(f"{error.filename or folder}: {error.strerror}") from error
    return folder / PAGE


def write_picture(folder: Path, path: Path) -> None:
    """Draws what was printed of the runs of a session, or of one run, that did not pass. Raises
    InfraError as `write_report`."""
    text = report_svg([record.result for record in read_records(folder)])
    try:
        write_whole(path, text)
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error


def read_records(folder: Path) -> list[RunRecord]:
    """The runs of a session in order, or the run in the folder. Raises InfraError."""
    if (folder / JOURNAL).is_file():
        return [read_run(folder)]
    try:
        document = read_object((folder / _RESULTS).read_bytes(), _LARGEST)
        return [_record(folder, fields(entry)) for entry in items(document.get("runs"))]
    except (FileNotFoundError, NotADirectoryError):
        return _without_results(folder)
    except (OSError, Untrusted) as error:
        raise InfraError(f"cannot read {folder / _RESULTS}: {error}") from error


def _record(folder: Path, entry: dict[str, Any]) -> RunRecord:
    run = folder / text(entry.get("id"))
    if (run / JOURNAL).is_file() and run.resolve().is_relative_to(folder.resolve()):
        return read_run(run)
    return RunRecord(run, read_result(entry))  # skipped


def _without_results(folder: Path) -> list[RunRecord]:
    """The runs of a killed session."""
    found = sorted(path.parent for path in folder.glob(f"*/**/{JOURNAL}"))
    records = [read_run(run) for run in found if run.name != "recorded"]
    if not records:
        raise InfraError(f"{folder}: neither {_RESULTS} nor {JOURNAL} found (not a session or run)")
    return records


def _views(records: Sequence[RunRecord], folder: Path) -> list[RunView]:
    views = []
    for number, record in enumerate(records, 1):
        fine = record.result.verdict in (Verdict.PASS, Verdict.SKIP)
        if len(records) <= _FEW or not fine:
            detail = Detail(maps=4, tree=200, timeline=True, opened=not fine or len(records) == 1)
        elif len(records) <= _MANY:
            detail = Detail(maps=1, tree=60, timeline=True, opened=False)
        else:
            detail = Detail(maps=0, tree=0, timeline=True, opened=False)
        views.append(view_run(number, record, detail, folder))
    return views


def render_page(views: Sequence[RunView], folder: Path) -> str:
    """The page as HTML text."""
    counts = {v: sum(view.record.result.verdict is v for view in views) for v in Verdict}
    links = {view.record.result.id: f"#run{view.number}" for view in views}
    return render(
        "report.html.j2",
        views=views,
        counts={verdict.value: count for verdict, count in counts.items() if count},
        title=folder.resolve().name,
        jump=_jump,
        grids=draw_grids(grids_of([view.record.result for view in views]), links),
        outcomes=legend(),
        ways=", ".join(f"{hops.value} ({hops.form})" for hops in Hops),
    )


def _jump(result: RunResult) -> int | None:
    """Instructions of the most expensive jump of a passed run with icount."""
    if result.verdict is not Verdict.PASS or not result.spec.counted:
        return None
    return sum(jump_cost(result.phases).values()) or None
