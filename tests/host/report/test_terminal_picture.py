# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a terminal holds what is printed, each word at its column."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from report.runs import NASTY, result, write_session

from khorig.cli.main import main
from khorig.out.report.terminal_picture import report_svg
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

_SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{_SVG}text"))


def _wordy(verdict: Verdict) -> RunResult:
    """A result with a line that is wider than the picture."""
    made = result(verdict)
    made.rerun = "scripts/khorig run" + 12 * " --option value"
    return made


def test_every_word_that_is_printed_is_shown() -> None:
    failed = result(Verdict.FAIL)
    shown = " ".join(element.text or "" for element in _texts(report_svg([failed])))
    assert shown.split() == " ".join(result_lines(failed)).split()
    assert NASTY not in shown and "\x1b" not in shown


def test_no_word_stands_on_another() -> None:
    svg = report_svg([_wordy(verdict) for verdict in Verdict])
    width = float((ElementTree.fromstring(svg).get("viewBox") or "").split()[2])
    ends: dict[str, float] = {}  # of each line
    for element in _texts(svg):
        line, begin = str(element.get("y")), float(element.get("x") or 0)
        assert begin >= ends.get(line, 0.0), element.text
        ends[line] = begin + float(element.get("textLength") or 0)
        assert ends[line] <= width
    assert len(ends) > 20


def test_a_long_line_goes_on_below_its_value() -> None:
    *_, value, rest = _texts(report_svg([_wordy(Verdict.FAIL)]))
    assert (value.text or "").startswith("scripts/khorig run --option")
    assert value.get("x") == rest.get("x") and value.get("y") != rest.get("y")


def test_runs_that_passed_are_shown_when_all_did() -> None:
    passed, failed = result(Verdict.PASS), result(Verdict.CRASH)
    assert [e.text for e in _texts(report_svg([passed, failed]))][0] == "CRASH"
    assert [e.text for e in _texts(report_svg([passed]))][0] == "PASS"


def test_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_session(tmp_path / "session", [result(Verdict.FAIL)])
    for target, status in ((tmp_path / "a.svg", 0), (tmp_path / "no" / "a.svg", 3)):
        with pytest.raises(SystemExit) as end:
            main(["report", str(folder), "--svg", str(target)])
        assert end.value.code == status, capsys.readouterr()
    assert _texts((tmp_path / "a.svg").read_text())[0].text == "FAIL"
    assert not (folder / "report.html").exists()
