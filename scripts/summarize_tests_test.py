# SPDX-License-Identifier: BSD-3-Clause
"""The summary of build events as Bazel 4.2.3 writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import summarize_tests

REPORT = """\
<testsuites><testsuite name="s">
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="one is not two"/></testcase>
<testcase classname="a" name="broken"><error message="no fixture"/></testcase>
<testcase classname="a" name="left_out"><skipped message="no KVM"/></testcase>
<testcase classname="A" name="place"><skipped message="x_test.cc:4&#10;no KVM"/></testcase>
<testcase classname="A" name="disabled" status="notrun"/>
</testsuite></testsuites>
"""
GOOD_REPORT = '<testsuite><testcase classname="a" name="good"/></testsuite>'


class Events:
    """A build event file in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[dict[str, Any]] = [
            {"id": {"started": {}}, "started": {"startTimeMillis": "1000"}}
        ]

    def add_test(self, label: str, status: str, report: str | None) -> None:
        """What Bazel says of a test that ran; without a report it crashed."""
        outputs = [{"name": "test.log", "uri": f"file://{self.folder}/a%20log"}]
        if report is not None:
            path = self.folder / f"{len(self.lines)}.xml"
            path.write_text(report)
            outputs.append({"name": "test.xml", "uri": path.as_uri()})
        identity = {"label": label}
        self.lines += [
            {"id": {"targetCompleted": identity}, "completed": {"success": True}},
            {
                "id": {"testResult": identity},
                "testResult": {"status": status, "testActionOutput": outputs},
            },
            {
                "id": {"testSummary": identity},
                "testSummary": {"overallStatus": status, "totalRunDurationMillis": "1500"},
            },
        ]

    def add_incomplete(self, label: str, reason: str | None) -> None:
        """What Bazel says of a target that was not built."""
        event: dict[str, Any] = {"id": {"targetCompleted": {"label": label}}}
        if reason is None:
            event["completed"] = {}
        else:
            event["aborted"] = {"reason": reason}
        self.lines.append(event)

    def write(self, tail: str = "") -> str:
        """Writes the file and returns its path; `tail` is what an interrupted Bazel left."""
        self.lines.append({"id": {"finished": {}}, "finished": {"finishTimeMillis": "3500"}})
        path = self.folder / "events"
        path.write_text("\n".join(map(json.dumps, self.lines)) + "\n" + tail)
        return str(path)


def test_cases_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = Events(tmp_path)
    events.add_test("//b:mixed_test", "FAILED", REPORT)
    events.add_test("//a:good_test", "PASSED", GOOD_REPORT)
    assert summarize_tests.main([events.write()]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 passed, 2 failed, 2 skipped"
    assert lines[-2] == "2 targets in 2.5 s"
    assert "SKIPPED 2 x no KVM" in lines
    assert lines[0].startswith(" PASS  //a:good_test")
    assert "FAILED  //b:mixed_test  a.bad" in lines
    assert "        one is not two" in lines
    assert f"        log: {tmp_path}/a log" in lines


def test_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = Events(tmp_path)
    events.add_test("//a:good_test", "PASSED", GOOD_REPORT)
    assert summarize_tests.main([events.write()]) == 0
    assert capsys.readouterr().out.endswith("\n1 passed, 0 failed, 0 skipped\n")


def test_a_timeout_without_report_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = Events(tmp_path)
    events.add_test("//a:slow_test", "TIMEOUT", None)
    assert summarize_tests.main([events.write()]) == 1
    output = capsys.readouterr().out
    assert "        timeout" in output
    assert output.endswith("\n0 passed, 1 failed, 0 skipped\n")


def test_a_failed_build_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = Events(tmp_path)
    events.add_test("//a:good_test", "PASSED", GOOD_REPORT)
    events.add_incomplete("//a:broken_test", None)
    events.add_incomplete("//a:bare_metal", "SKIPPED")
    assert summarize_tests.main([events.write()]) == 1
    output = capsys.readouterr().out
    assert "FAILED  //a:broken_test" in output
    assert "bare_metal" not in output
    assert output.endswith("\n1 passed, 1 failed, 0 skipped\n")


def test_nothing_ran(tmp_path: Path) -> None:
    assert summarize_tests.main([Events(tmp_path).write()]) == 4


def test_an_interrupted_file_is_read_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = Events(tmp_path)
    events.add_test("//a:good_test", "PASSED", GOOD_REPORT)
    assert summarize_tests.main([events.write('{"id": {"testRes')]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_bad_usage() -> None:
    assert summarize_tests.main([]) == 2
