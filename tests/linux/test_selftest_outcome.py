# SPDX-License-Identifier: BSD-3-Clause
"""What is made of a selftest's verdict and the rig's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.program_end import ProgramEnd
from khorig.linux.selftest_outcome import Theirs, outcome_of
from khorig.out.documents import results_document
from khorig.out.selftests_text import render_selftests, selftests_ktap
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import GUEST
from khorig.run.coverage import JumpCoverage
from khorig.run.judging import Statistics
from khorig.run.result import RunResult

PROGRAM = "/peers/linux-7.3/selftests/luo_kexec_simple"
ONCE = "/peers/linux-7.3/selftests/liveupdate"
STAGES = (f"1:{PROGRAM} -s 1", f"2:{PROGRAM} -s 2")
PASSED = "--- SIMPLE KEXEC TEST PASSED ---"
TOTALS = "# Totals: pass:15 fail:0 xfail:0 xpass:0 skip:0 error:0"
LOST = Finding("KHR-I080", "page 0x1000 changed", "0x0000000000001000", "memfd page 3", 2, "entry")


def made(
    folder: Path,
    console: str,
    *ends: ProgramEnd,
    programs: tuple[str, ...] = STAGES,
    findings: tuple[Finding, ...] = (),
    pages: int = 2629,
) -> RunResult:
    """A run between two Linuxes with what is on its console."""
    folder.mkdir(exist_ok=True)
    (folder / "console.log").write_text(console)
    spec = ChainRun("x86_64", "q35", kernels=("linux-7.3", "linux-7.3"), programs=programs)
    jumps = (JumpCoverage(1, 1, pages, pages << 12),) if pages else ()
    verdict = findings[0].verdict if findings else Verdict.PASS
    result = RunResult(spec, verdict, list(findings), 2, Statistics(jumps=jumps), [], 1.0, "", 33)
    result.programs, result.directory = ends, str(folder)
    return result


def end(generation: int, status: int = 0, output: str = "") -> ProgramEnd:
    return ProgramEnd(generation, 0, PROGRAM, status=status, output=(output,) if output else ())


def failed_program(status: int) -> Finding:
    """What the rig says of a program that fails."""
    return Finding(GUEST, f"program: {PROGRAM} -s 2: exit status {status}", generation=2)


def test_both_content(tmp_path: Path) -> None:
    outcome = outcome_of(made(tmp_path, f"[    1.0] x\n{PASSED}\n", end(1), end(2)))
    assert (outcome.theirs, outcome.line) == (Theirs.PASS, PASSED)
    assert outcome.ours is Verdict.PASS and outcome.is_good and not outcome.disagree


def test_the_module_says_it_for_kho(tmp_path: Path) -> None:
    line = "test_kho: KHO restore succeeded"
    outcome = outcome_of(made(tmp_path, f"[    0.302263] {line}\n", programs=()))
    assert (outcome.name, outcome.theirs, outcome.line) == ("kho", Theirs.PASS, line)
    silent = outcome_of(made(tmp_path, "[    0.302263] test_kho: tests skipped\n", programs=()))
    assert silent.theirs is Theirs.FAIL and silent.disagree


def test_a_test_without_stages_ends_with_its_totals(tmp_path: Path) -> None:
    outcome = outcome_of(made(tmp_path, f"{TOTALS}\n", end(1), programs=(f"1:{ONCE}",)))
    assert (outcome.theirs, outcome.line) == (Theirs.PASS, TOTALS)
    silent = outcome_of(made(tmp_path, f"{PASSED}\n", end(1), programs=(f"1:{ONCE}",)))
    assert silent.theirs is Theirs.FAIL


def test_a_test_that_fails_where_the_rig_finds_nothing_is_shown(tmp_path: Path) -> None:
    ends = (end(1), end(2, 1, "Bail out! luo_session_finish"))
    result = made(tmp_path, "", *ends, findings=(failed_program(1),))
    outcome = outcome_of(result)
    assert (outcome.theirs, outcome.ours, outcome.disagree) == (Theirs.FAIL, Verdict.PASS, True)
    text = render_selftests([result], [outcome])
    assert "luo_kexec_simple      FAIL    PASS   2629 pages   <-- they disagree" in text
    assert "theirs: generation 2: exit status 1: Bail out! luo_session_finish" in text
    assert "rig: 1 of 1 handovers good, 1 where they disagree" in text


def test_the_first_case_that_failed_is_named(tmp_path: Path) -> None:
    console = f"ok 1 global.basic\nnot ok 2 global.many\nnot ok 3 global.other\n{TOTALS}\n"
    result = made(tmp_path, console, end(1, 1, TOTALS), programs=(f"1:{ONCE}",))
    line = outcome_of(result).line
    assert line == f"generation 1: exit status 1: not ok 2 global.many; {TOTALS}"


def test_a_skipped_test_says_nothing(tmp_path: Path) -> None:
    ends = (end(1, 4, "ok 2 # SKIP Failed to open /dev/liveupdate."), end(2, 4))
    outcome = outcome_of(made(tmp_path, "", *ends, findings=(failed_program(4),)))
    assert outcome.theirs is Theirs.SKIP and not outcome.disagree and outcome.is_good


def test_the_rig_that_ends_a_run_is_no_failure_of_theirs(tmp_path: Path) -> None:
    cut = outcome_of(made(tmp_path, "", end(1), findings=(LOST,)))
    assert (cut.theirs, cut.ours, cut.disagree) == (Theirs.NOT_RUN, Verdict.FAIL, False)
    again = made(tmp_path / "again", f"{PASSED}\n", end(1), end(2))
    heard = cut.heard(again)
    assert (heard.theirs, heard.ours, heard.disagree) == (Theirs.PASS, Verdict.FAIL, True)
    text = render_selftests([again], [heard])
    assert "PASS    FAIL   2629 pages   <-- they disagree" in text
    assert "rig: 0x0000000000001000, memfd page 3" in text


def test_a_kernel_that_dies_fails_both(tmp_path: Path) -> None:
    panic = Finding(GUEST, "Kernel panic", generation=2, verdict=Verdict.CRASH)
    outcome = outcome_of(made(tmp_path, "", end(1), findings=(panic,)))
    assert (outcome.theirs, outcome.ours) == (Theirs.FAIL, Verdict.CRASH)


@pytest.mark.parametrize("programs", [STAGES, ()])
def test_nothing_compared_is_not_good(tmp_path: Path, programs: tuple[str, ...]) -> None:
    console = f"{PASSED}\ntest_kho: KHO restore succeeded\n"
    outcome = outcome_of(made(tmp_path, console, end(1), end(2), programs=programs, pages=0))
    assert outcome.theirs is Theirs.PASS and outcome.ours is Verdict.FAIL
    assert outcome.finding and "across 0 of 1 jumps" in outcome.finding.what


def test_both_verdicts_are_tests_of_their_own_in_ktap(tmp_path: Path) -> None:
    good = made(tmp_path / "good", f"{PASSED}\n", end(1), end(2))
    bad = made(tmp_path / "bad", "", end(1), findings=(LOST,))
    heard = outcome_of(bad).heard(good)
    silent = made(tmp_path / "silent", "", programs=())
    outcomes = [outcome_of(good), heard, outcome_of(bad), outcome_of(silent)]
    text = selftests_ktap([good, bad, bad, silent], outcomes)
    assert text.splitlines()[:4] == [
        "KTAP version 1",
        "1..8",
        f"# {PASSED}",
        "ok 1 luo_kexec_simple x86_64/q35",
    ]
    points = [line for line in text.splitlines()[2:] if not line.startswith("#")]
    assert points[1:] == [
        "ok 2 luo_kexec_simple x86_64/q35 memory",
        "ok 3 luo_kexec_simple x86_64/q35",
        "not ok 4 luo_kexec_simple x86_64/q35 memory",
        "ok 5 luo_kexec_simple x86_64/q35 # SKIP",
        "not ok 6 luo_kexec_simple x86_64/q35 memory",
        "not ok 7 kho x86_64/q35",
        "ok 8 kho x86_64/q35 memory",
    ]
    assert f"# {LOST.what}" in text


def test_the_document_has_both_verdicts(tmp_path: Path) -> None:
    first = made(tmp_path, f"{PASSED}\n", end(1), end(2))
    second = made(tmp_path / "kho", "KHO restore succeeded\n", programs=())
    document = json.loads(results_document([first, second]))
    assert [(t["name"], t["theirs"], t["ours"]) for t in document["selftests"]] == [
        ("luo_kexec_simple", "PASS", "PASS"),
        ("kho", "PASS", "PASS"),
    ]
    assert "selftests" not in json.loads(results_document([second]))
