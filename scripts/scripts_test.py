# SPDX-License-Identifier: BSD-3-Clause
"""What the shell scripts say without installing or building anything."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest


def run(*command: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script with a cache of its own."""
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("script", ["setup", "presubmit"])
def test_usage(script: str, tmp_path: Path) -> None:
    helped = run(f"scripts/{script}", "--help", cache=tmp_path)
    assert (helped.returncode, helped.stdout[:6]) == (0, "Usage:")
    wrong = run(f"scripts/{script}", "--no-such-option", cache=tmp_path)
    assert wrong.returncode == 2
    assert not list(tmp_path.iterdir())


def test_khorig_test_explains_itself(tmp_path: Path) -> None:
    helped = run("scripts/khorig", "test", "--help", cache=tmp_path)
    assert helped.returncode == 0
    for verb in ("run", "test", "list", "doctor"):
        assert re.search(rf"^  {verb} ", helped.stdout, re.MULTILINE)


def test_khorig_is_found_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "k"
    link.symlink_to(Path("scripts/khorig").resolve())
    linked = run(str(link), "test", "--help", cache=tmp_path / "cache")
    assert (linked.returncode, linked.stderr) == (0, "")
    assert linked.stdout.startswith("Usage:")


def test_packages_are_listed_once_and_explained() -> None:
    lines = Path("scripts/packages.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert all(len(entry) == 2 and entry[1].startswith("# ") for entry in entries)
    names = [entry[0] for entry in entries]
    assert len(names) == len(set(names))


def test_setup_that_went_well_is_not_repeated(tmp_path: Path) -> None:
    """With its stamp there, setup does not even need dpkg."""
    stamp = run("bash", "-c", "source scripts/common.sh; setup_stamp", cache=tmp_path).stdout
    (tmp_path / "khorig").mkdir()
    Path(stamp).touch()
    before = os.listdir(tmp_path / "khorig")
    assert run("scripts/setup", "--if-needed", cache=tmp_path).returncode == 0
    assert os.listdir(tmp_path / "khorig") == before


def test_setup_says_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "khorig").write_text("a file in the way")
    broken = run("scripts/setup", cache=tmp_path)
    assert broken.returncode == 3
    assert "cannot write to" in broken.stderr
