# SPDX-License-Identifier: BSD-3-Clause
"""`khorig clean`: artifacts of earlier runs go, those of others and of now stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from khorig.cli.main import main
from khorig.run.artifacts import hold_session, new_session_folder


def _sessions(out: Path, count: int) -> list[Path]:
    """Sessions with a file of 1 MiB each, the oldest first."""
    folders = []
    for number in range(count):
        folder = new_session_folder(out)
        (folder / "handover").mkdir()
        (folder / "handover" / "gen1.sealed.ram.zst").write_bytes(os.urandom(1 << 20))
        os.utime(folder, (number, number))
        folders.append(folder)
    return folders


def _clean(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(["clean", *words])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    return out.splitlines()


def test_the_newest_session_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = _sessions(tmp_path, 3)
    lines = _clean(capsys, "--out", str(tmp_path))
    assert lines == [str(first), str(second), "2 folders, freed 2 MiB"]
    assert {path.name for path in tmp_path.iterdir()} == {third.name, "latest"}
    assert (tmp_path / "latest" / "handover").is_dir()


def test_all_can_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _sessions(tmp_path, 2)
    assert _clean(capsys, "--out", str(tmp_path), "--newest", "0")[-1] == "2 folders, freed 2 MiB"
    assert not list(tmp_path.iterdir())


def test_a_dry_run_removes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sessions = _sessions(tmp_path, 2)
    lines = _clean(capsys, "--out", str(tmp_path), "--dry-run")
    assert lines == [str(sessions[0]), "1 folders, would free 1 MiB"]
    assert all(folder.is_dir() for folder in sessions)


def test_a_session_that_runs_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, _ = _sessions(tmp_path, 3)
    held = hold_session(first)
    assert _clean(capsys, "--out", str(tmp_path))[:-1] == [str(second)]
    os.close(held)
    assert _clean(capsys, "--out", str(tmp_path))[:-1] == [str(first)]


def test_what_khorig_did_not_make_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "2026-01-01T00.00.00Z").symlink_to(elsewhere)
    (tmp_path / "dry-run").mkdir()
    lines = _clean(capsys, "--out", str(tmp_path), "--newest", "0")
    assert lines[:-1] == [str(tmp_path / "dry-run")]
    assert elsewhere.is_dir() and (tmp_path / "mine").is_dir()


def test_nothing_to_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _clean(capsys, "--out", str(tmp_path / "no")) == ["0 folders, freed 0 MiB"]
