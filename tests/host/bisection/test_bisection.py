# SPDX-License-Identifier: BSD-3-Clause
"""`git bisect run` over a little repository: every way a step can end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bisection.driven import FAKE_STEP, Driven
from bisection.history import History, git

from khorig.linux.bisect import Bisection
from khorig.linux.bisect_judgement import Outcome
from khorig.linux.bisect_plan import read_plan
from khorig.linux.bisect_record import read_records
from khorig.linux.bisect_worktree import worktree_path
from khorig.linux.peer import cache_directory
from khorig.vm.errors import InfraError

PASS, FAIL = "pass", "fail"


def driven(tmp_path: Path, *ends: str, match: str = "", repeat: int = 1) -> tuple[Driven, History]:
    history = History(tmp_path / "a tree", ends)
    return Driven(history, tmp_path / "out", match, repeat), history


def test_the_first_bad_commit_is_found(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, *[PASS] * 7, *[FAIL] * 4)
    result = bisection.run()
    first = result.first_bad
    assert first is not None and first.commit == history.commits[7]
    assert (first.subject, first.rule) == ("kho: change 7", "KHR-I047")
    assert "0x000000001f2c4000" in first.why
    # A build, not only a name.
    kernel = re.escape(f"linux-{first.commit[:12]}:") + "[0-9a-f]{8}"
    assert re.search(f"--chain {kernel},khorig,{kernel}$", first.rerun), first.rerun
    assert re.fullmatch(kernel, first.peer)
    assert result.last_good is not None and result.last_good.commit == history.commits[6]
    # Both ends first, then halves.
    built = bisection.built()
    assert built[:2] == [history.commits[-1], history.commits[0]]
    assert len(built) == len(set(built)) == result.tested <= 2 + 4


def test_progress_names_step_commit_and_verdict(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, *[PASS] * 3, *[FAIL] * 5)
    bisection.run()
    told = "\n".join(bisection.told)
    assert f'7 commits after {history.commits[0][:12]} ("kho: change 0")' in told
    assert f'bad end: {history.commits[-1][:12]} ("kho: change 7")' in told
    words = "KHR-I047 page 0x000000001f2c4000 is not preserved"
    assert f"  bad: {words}  (build 0 s, chain 0 s)" in told
    assert "  step 1 of about 3: " in told and "  step 2 of about 3: " in told


def test_only_the_bad_kernel_and_its_parent_stay_in_the_cache(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, *[PASS] * 6, *[FAIL] * 6)
    bisection.run()
    kept = {path.name for path in (cache_directory() / "peers").iterdir()}
    assert kept == {f"linux-{history.commits[number][:12]}" for number in (5, 6)}


def test_the_users_tree_is_not_touched(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, *[PASS] * 2, *[FAIL] * 2)
    (history.folder / "kernel/other").write_text("edited\n")
    (history.folder / "untracked").write_text("mine\n")
    hook = history.folder / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/hooked'\n")
    hook.chmod(0o755)
    before = history.state()
    assert bisection.run().first_bad is not None
    assert history.state() == before
    assert not (tmp_path / "hooked").exists()
    assert not worktree_path(history.folder).exists()
    assert any("changes that are not committed are not tested" in line for line in bisection.told)


def test_a_bisection_of_the_user_goes_on(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, *[PASS] * 4, *[FAIL] * 4)
    git(history.folder, "bisect", "start", history.commits[-1], history.commits[0])
    log = git(history.folder, "bisect", "log")
    head = git(history.folder, "rev-parse", "HEAD")
    result = bisection.run()
    assert result.first_bad is not None and result.first_bad.commit == history.commits[4]
    assert git(history.folder, "bisect", "log") == log
    assert git(history.folder, "rev-parse", "HEAD") == head


@pytest.mark.parametrize("end", ["nobuild", "INFRA", "SKIP"])
def test_what_says_nothing_about_the_commit_is_skipped(tmp_path: Path, end: str) -> None:
    bisection, history = driven(tmp_path, *[PASS] * 4, end, FAIL, FAIL, FAIL)
    ends = history.commits
    result = bisection.run()
    records = read_records(bisection.folder)
    assert records[ends[4]].outcome is Outcome.SKIPPED
    assert result.first_bad is None
    assert set(result.candidates) == {ends[4], ends[5]}
    assert result.reason == "skipped commits leave 2 that may be the first bad one"
    assert "git bisect skip" in (bisection.folder / "bisect.log").read_text()


def test_a_build_that_fails_shows_the_compilers_error(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, PASS, "nobuild", FAIL, FAIL)
    bisection.run()
    record = read_records(bisection.folder)[history.commits[2]]
    assert record.why.startswith("does not build: ") and "mm/a.c:1: error: x" in record.why


@pytest.mark.parametrize("end", ["FAIL", "CRASH", "HANG"])
def test_without_match_every_failure_of_the_guest_is_bad(tmp_path: Path, end: str) -> None:
    bisection, history = driven(tmp_path, PASS, PASS, PASS, end, end, FAIL)
    result = bisection.run()
    assert result.first_bad is not None and result.first_bad.commit == history.commits[3]
    assert result.first_bad.why == f"{end} it ends with {end}"


@pytest.mark.parametrize("match", ["KHR-I047", "is not preserved", "memblock/reference"])
def test_with_match_another_failure_is_skipped_with_its_words(tmp_path: Path, match: str) -> None:
    bisection, history = driven(tmp_path, PASS, PASS, "CRASH", PASS, FAIL, FAIL, match=match)
    result = bisection.run()
    assert result.first_bad is not None and result.first_bad.commit == history.commits[4]
    record = read_records(bisection.folder).get(history.commits[2])
    assert record is not None and record.outcome is Outcome.SKIPPED
    assert record.why == f"fails without {match}: CRASH it ends with CRASH"


def test_a_flaky_bug_needs_repeats(tmp_path: Path) -> None:
    flaky = "pass pass fail"
    bisection, history = driven(tmp_path, PASS, PASS, flaky, flaky, FAIL, repeat=3)
    result = bisection.run()
    assert result.first_bad is not None and result.first_bad.commit == history.commits[2]
    assert any("run 3 of 3: FAIL" in line for line in bisection.told)
    assert read_records(bisection.folder)[history.commits[0]].why == "passed 3 of 3"


def test_trouble_in_one_of_the_repeats_is_not_good(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, "pass INFRA pass", FAIL, repeat=3)
    assert bisection.run().first_bad is None
    assert read_records(bisection.folder)[history.commits[1]].outcome is Outcome.SKIPPED


def test_a_bad_end_that_passes_is_named(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, FAIL, PASS)
    result = bisection.run()
    assert result.first_bad is None
    assert result.reason.startswith(f'--bad {history.commits[-1][:12]} ("kho: change 2") is good')
    assert bisection.built() == [history.commits[-1]], "nothing else needs a build"
    assert not worktree_path(history.folder).exists()


def test_a_good_end_that_fails_is_named(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, FAIL, FAIL, FAIL)
    result = bisection.run()
    assert result.first_bad is None
    assert result.reason.startswith(f'--good {history.commits[0][:12]} ("kho: change 0") is bad')


@pytest.mark.parametrize("ends", [(PASS, FAIL, "nobuild"), ("INFRA", FAIL, FAIL)])
def test_an_end_that_cannot_be_tested_is_trouble(tmp_path: Path, ends: tuple[str, ...]) -> None:
    bisection, history = driven(tmp_path, *ends)
    with pytest.raises(InfraError, match="end cannot be tested"):
        bisection.run()
    assert not worktree_path(history.folder).exists()


def test_a_range_of_one_commit_needs_its_ends_only(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, FAIL)
    result = bisection.run()
    assert result.first_bad is not None and result.first_bad.commit == history.commits[1]
    assert len(bisection.built()) == 2


@pytest.mark.parametrize("end", ["bug", "killed"])
def test_a_step_that_breaks_is_not_a_bad_commit(tmp_path: Path, end: str) -> None:
    """Python ends with 1 when it fails, and that is git's word for bad."""
    bisection, history = driven(tmp_path, PASS, PASS, end, PASS, FAIL)
    with pytest.raises(InfraError, match="git bisect ended early, see .*git.log"):
        bisection.run()
    assert history.commits[2] not in read_records(bisection.folder)
    assert not worktree_path(history.folder).exists()


def test_of_merged_branches_the_commit_is_found(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, PASS)
    git(history.folder, "checkout", "--quiet", "-b", "side")
    bad = history.add(FAIL, "kho: on a branch")
    history.add(FAIL, "kho: one more")
    git(history.folder, "checkout", "--quiet", "main")
    (history.folder / "kernel/other").write_text("changes after all\n")
    git(history.folder, "commit", "--quiet", "-am", "mm: elsewhere")
    git(history.folder, "merge", "--quiet", "--no-edit", "side")
    history.commits.append(git(history.folder, "rev-parse", "HEAD"))
    result = Driven(history, tmp_path / "merged").run()
    assert result.first_bad is not None and result.first_bad.commit == bad


_BISECT = """\
import os
import sys
from pathlib import Path
from khorig.cli.signals import interruptible
from khorig.linux.bisect import Bisection
from khorig.linux.bisect_plan import read_plan
from khorig.vm.errors import Interrupted
folder = Path(sys.argv[1])
say = lambda line: print(line, flush=True)
try:
    with interruptible():
        Bisection(read_plan(folder), folder, (sys.executable, sys.argv[2]), say).run(say)
except Interrupted as end:
    os._exit(128 + end.signal_number)  # not by way of a flush of stdout, which nobody reads
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_bisection_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    bisection, history = driven(tmp_path, PASS, PASS, PASS, PASS, "slow", PASS, FAIL, FAIL, FAIL)
    before = history.state()
    words = [sys.executable, "-c", _BISECT, str(bisection.folder), str(FAKE_STEP)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "building for ever" in line:
            break
    process.send_signal(number)
    process.stdout.close()
    killed = number is signal.SIGKILL
    assert process.wait(30) == (-number if killed else 128 + number)
    if not killed:
        assert history.state() == before
        assert not worktree_path(history.folder).exists()
        log = (bisection.folder / "bisect.log").read_text()
        assert "git bisect start" in log
    _no_step_is_left(bisection.folder)
    tested = set(read_records(bisection.folder))
    assert history.commits[4] not in tested and len(tested) >= 2
    (bisection.folder / "done/go").touch()
    (bisection.folder / "done/builds").unlink()
    result = bisection.run()
    assert result.first_bad is not None and result.first_bad.commit == history.commits[6]
    assert not tested & set(bisection.built()), "what was good or bad is not tested again"
    assert any("(tested before)" in line for line in bisection.told)
    assert history.state() == before


def _no_step_is_left(folder: Path) -> None:
    """The steps of a bisection that is gone end by themselves, when they report."""
    deadline_s = time.monotonic() + 5
    left: list[Path] = []
    while time.monotonic() < deadline_s:
        left = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(FAKE_STEP) in words and os.fsencode(folder) in words:
                left.append(path)
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"steps are left: {left}")


def test_a_second_bisection_of_the_tree_is_refused(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, "slow", FAIL)
    words = [sys.executable, "-c", _BISECT, str(bisection.folder), str(FAKE_STEP)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if "building for ever" in line:
                break
        with pytest.raises(InfraError, match="another bisection of .*a tree runs"):
            Driven(history, tmp_path / "second").run()
        assert worktree_path(history.folder).exists(), "it belongs to the first"
        first.send_signal(signal.SIGTERM)


def test_a_folder_without_a_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="no bisection: No such file"):
        read_plan(tmp_path)
    bisection, _ = driven(tmp_path, PASS, FAIL)
    path = bisection.folder / "bisect.json"
    whole = json.loads(path.read_text())
    for name, value in (
        ("good", "../../etc"),
        ("bad", "HEAD"),
        ("repeat", 0),
        ("repeat", "3"),
        ("spec", {"kind": "chain"}),
        ("spec", {**whole["spec"], "kernels": ["khorig", "khorig"]}),
        ("source", None),
    ):
        path.write_text(json.dumps({**whole, name: value}))
        with pytest.raises(InfraError, match="bisect.json: "):
            read_plan(bisection.folder)
    path.write_bytes(b"\xff\0")
    with pytest.raises(InfraError, match="bisect.json: not JSON"):
        read_plan(bisection.folder)


def test_a_record_cut_short_is_left_out(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, FAIL)
    bisection.run()
    path = bisection.folder / "steps.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + b'\n{"commit": 3}\n\xff\n')
    assert set(read_records(bisection.folder)) == {history.commits[1]}


def test_an_unknown_step_is_trouble(tmp_path: Path) -> None:
    bisection, history = driven(tmp_path, PASS, FAIL)
    driver = Bisection(bisection.plan, bisection.folder, ("/bin/false",), bisection.told.append)
    with pytest.raises(InfraError, match="the bad end was not tested"):
        driver.run(lambda result: None)
    assert not worktree_path(history.folder).exists()
