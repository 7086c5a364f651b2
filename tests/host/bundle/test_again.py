# SPDX-License-Identifier: BSD-3-Clause
"""Whether the outcome of a run and its repetition are called the same."""

from __future__ import annotations

import pytest

from khorig.guest.khorig_run import KhorigRun
from khorig.out.again import Sameness, again_lines, sameness
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import RunResult


def _result(verdict: str, rule: str = "", cause: str = "") -> RunResult:
    findings = [Finding(rule, cause, verdict=Verdict(verdict))] if cause else []
    spec = KhorigRun("x86_64", "q35")
    return RunResult(spec, Verdict(verdict), findings, 1, Statistics(), [], 1.0, "7.2.22", None)


_THEN = _result("FAIL", "KHR-I080", "page 0x1000 changed in generation 2")


@pytest.mark.parametrize(
    "now, expected",
    [
        (_THEN, Sameness.SAME),
        (_result("FAIL", "KHR-I080", "page 0x2000 changed in generation 3"),
         Sameness.OTHER_NUMBERS),
        (_result("FAIL", "KHR-I080", "page 0x1000 lost in generation 2"), Sameness.OTHER_CAUSE),
        (_result("FAIL", "KHR-I081", "page 0x1000 changed in generation 2"), Sameness.OTHER_RULE),
        (_result("CRASH", "KHR-I080", "page 0x1000 changed in generation 2"),
         Sameness.OTHER_VERDICT),
        (_result("PASS"), Sameness.OTHER_VERDICT),
        (_result("INFRA", "", "QEMU is too old"), Sameness.NOT_RUN),
        (_result("SKIP", "", "too much memory"), Sameness.NOT_RUN),
    ],
)  # fmt: skip
def test_sameness(now: RunResult, expected: Sameness) -> None:
    assert sameness(_THEN, now) is expected
    assert expected.is_same == (expected in (Sameness.SAME, Sameness.OTHER_NUMBERS))
    assert again_lines(_THEN, now, {})[-1] == expected.value


def test_two_passes_are_the_same() -> None:
    assert sameness(_result("PASS"), _result("PASS")) is Sameness.SAME


def test_nothing_steers_the_terminal() -> None:
    lines = again_lines(_result("FAIL", "", "\x1b[2Jx"), _THEN, {"khorig": "\x1b"})
    assert all(line.isprintable() for line in lines)
