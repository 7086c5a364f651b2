# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bisect`: what the user can get wrong, and its end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
from bisection.driven import FAKE_STEP
from bisection.history import History, git

from khorig.cli import bisect, exit_codes
from khorig.cli.main import main
from khorig.linux import build
from khorig.linux.peer import Peer, cache_directory, write_peer

Cli = Callable[..., int]


@pytest.fixture(name="history")
def history_fixture(tmp_path: Path) -> History:
    return History(tmp_path / "a tree", ("pass", "pass", "pass", "fail", "fail"))


@pytest.fixture(name="cli")
def cli_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The verb with the fake step; its exit status."""
    monkeypatch.setattr(bisect, "STEP", (sys.executable, str(FAKE_STEP)))
    monkeypatch.setattr(build, "missing_packages", lambda: [])
    monkeypatch.setenv("KHORIG_OUT", str(tmp_path / "out"))

    def run(*words: object) -> int:
        with pytest.raises(SystemExit) as end:
            main(["bisect", *map(str, words)])
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


def test_the_end_names_commit_rule_page_and_rerun(
    cli: Cli, history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--source", history.folder, "--good", "main~4", "--bad", "main")
    assert cli(*words, "--machine", "q35", "--match", "khr-i047") == exit_codes.PASS
    out, _ = capsys.readouterr()
    bad, good = history.commits[3], history.commits[2]
    assert f"first bad commit: {bad}\n  kho: change 3\n  A. Tester <tester@example.org>, 20" in out
    assert "KHR-I047" in out and "0x000000001f2c4000" in out
    assert f"  rerun     scripts/khorig linux run --chain linux-{bad[:12]}:" in out
    peers = f"{tmp_path}/cache/khorig/linux/peers"
    assert re.search(f"  kernel    linux-{bad[:12]}:[0-9a-f]{{8}}: {peers}/", out)
    assert re.search(f"  good      its parent {good[:12]}, linux-{good[:12]}:[0-9a-f]{{8}}: ", out)
    [folder] = [path for path in (tmp_path / "out").iterdir() if not path.is_symlink()]
    assert "git bisect start" in (folder / "bisect.log").read_text()
    git(history.folder, "bisect", "replay", str(folder / "bisect.log"))


def test_the_words_of_the_plan_are_those_of_the_run(
    cli: Cli, history: History, tmp_path: Path
) -> None:
    other = Peer("arm64", "linux-7.3", "7.3.4", cache_directory() / "peers" / "one")
    other.directory.mkdir(parents=True)
    other.image.touch()
    write_peer(other)
    words = ("--source", history.folder, "--good", history.commits[0], "--bad", "HEAD")
    more = ("--chain", "source,khorig,linux-7.3", "--machine", "virt", "--smp", 2, "--mem", "2G")
    cli(*words, *more, "--seed", 7, "--repeat", 3, "--linux-append", "1:quiet", "--jobs", 4)
    plan = json.loads((tmp_path / "out/latest/bisect.json").read_text())
    assert (plan["good"], plan["bad"]) == (history.commits[0], history.commits[-1])
    assert (plan["repeat"], plan["jobs"]) == (3, 4)
    spec = plan["spec"]
    # The others stay what they are, whatever is built meanwhile.
    assert spec["kernels"] == ["source", "khorig", other.pinned]
    assert (spec["arch"], spec["machine"], spec["smp"]) == ("arm64", "virt", 2)
    assert (spec["memory"], spec["seed"], spec["linux_options"]) == (2 << 30, 7, ["1:quiet"])


def test_nothing_found_is_status_1_and_says_why(
    cli: Cli, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--source", history.folder, "--machine", "q35")
    assert cli(*words, "--good", "main~4", "--bad", "main~2") == exit_codes.FAIL
    assert "no first bad commit: --bad " in capsys.readouterr().out
    assert cli(*words, "--good", "main~1", "--bad", "main") == exit_codes.FAIL
    assert "no first bad commit: --good " in capsys.readouterr().out


def test_an_end_that_cannot_be_tested_is_status_3(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(tmp_path / "broken", ("pass", "nobuild"))
    words = ("--source", history.folder, "--good", "main~1", "--bad", "main")
    assert cli(*words) == exit_codes.INFRA
    err = capsys.readouterr().err
    assert "the bad end cannot be tested: does not build: " in err and "error: x" in err
    assert f"to go on: scripts/khorig bisect --resume {tmp_path}/out/20" in err


def test_a_finished_bisection_can_be_resumed(
    cli: Cli, history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--source", history.folder, "--good", "main~4", "--bad", "main")
    assert cli(*words) == exit_codes.PASS
    assert cli("--resume", tmp_path / "out/latest") == exit_codes.PASS
    assert capsys.readouterr().out.count(f"first bad commit: {history.commits[3]}") == 2
    built = (tmp_path / "out/latest/done/builds").read_text().split()
    assert len(built) == len(set(built))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--good", "main~9", "--bad", "main"), "a tree: no commit 'main~9'"),
        (("--good", "main~4", "--bad", "--all"), "a tree: no commit '--all'"),
        (("--good", "", "--bad", "main"), "a tree: no commit ''"),
        (("--good", "main:kernel", "--bad", "main"), "a tree: no commit 'main:kernel'"),
        (("--good", "main", "--bad", "main"), "empty range: good and bad are both "),
        (("--good", "main", "--bad", "main~2"), "; are --good and --bad swapped?"),
        (("--good", "side", "--bad", "main"), "; test their merge base: --good "),
        (("--good", "orphan", "--bad", "main"), "; they share no history"),
        (("--bad", "main"), "missing option '--good'"),
        (("--good", "main~4", "--bad", "main", "--chain", "khorig,linux-7.3"), "no 'source'"),
        (("--good", "main~4", "--bad", "main", "--chain", "source"), "at least two kernels"),
        (("--good", "main~4", "--bad", "main", "--match", "KHR-I999"), "unknown rule 'KHR-I999'"),
        (("--good", "main~4", "--bad", "main", "--machine", "all"), "a bisection takes one"),
        (("--good", "main~4", "--bad", "main", "--initrd", "/dev/null"), "--initrd"),
    ],
)
def test_what_cannot_be_bisected_is_named(
    cli: Cli,
    history: History,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    git(history.folder, "checkout", "--quiet", "-b", "side", "main~2")
    history.add("pass", "kho: aside")
    git(history.folder, "checkout", "--quiet", "--orphan", "orphan")
    history.add("pass", "kho: anew")
    git(history.folder, "checkout", "--quiet", "main")
    assert cli("--source", history.folder, *words) == exit_codes.USAGE
    err = capsys.readouterr().err
    assert message in err and "bug in khorig" not in err and "to go on" not in err
    assert git(history.folder, "worktree", "list").count("\n") == 0


def test_the_result_is_shown_before_the_work_tree_is_removed(
    cli: Cli, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    """That takes minutes on a busy disk."""
    assert cli("--source", history.folder, "--good", "main~4", "--bad", "main") == exit_codes.PASS
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("removing the work tree ")
    assert any(line.startswith("first bad commit: ") for line in lines[:-1])


def test_a_folder_without_git_is_named(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--source", tmp_path, "--good", "a", "--bad", "b")
    assert cli(*words) == exit_codes.USAGE
    assert f"{tmp_path}: not a work tree of git; fatal: not a git repo" in capsys.readouterr().err


def test_without_git_it_is_trouble(
    cli: Cli,
    history: History,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ("--source", history.folder, "--good", "main~4", "--bad", "main")
    assert cli(*words) == exit_codes.INFRA
    assert "cannot start git: No such file" in capsys.readouterr().err


def test_missing_packages_are_named_before_anything_is_built(
    cli: Cli, history: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a commit that does not build."""
    monkeypatch.setattr(build, "missing_packages", lambda: ["flex"])
    words = ("--source", history.folder, "--good", "main~4", "--bad", "main")
    assert cli(*words) == exit_codes.INFRA
    assert "apt-get install --no-install-recommends flex" in capsys.readouterr().err


def test_resuming_what_is_no_bisection_is_named(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("--resume", tmp_path) == exit_codes.INFRA
    assert f"{tmp_path}: no bisection: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["/nowhere"], ["/nowhere", "1"], ["/nowhere", "x"]])
def test_the_real_step_never_calls_its_own_trouble_a_bad_commit(words: list[str]) -> None:
    """1 is what Python ends with, and what git takes for bad."""
    done = subprocess.run([*bisect.STEP, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert done.stderr.startswith("khorig: ")
