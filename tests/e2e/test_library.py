# SPDX-License-Identifier: BSD-3-Clause
"""docs/library.md: its session at the prompt, and what it has outside of the tree."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import khorig
from khorig.api.rig import Rig

_PACKAGES = Path(khorig.__file__).parents[1]
_DOCUMENT = (_PACKAGES.parent / "docs" / "library.md").read_text()
_NUMBER = re.compile(r"\b(0x[0-9a-f]+|\d+)\b")


class _ExceptNumbers(doctest.OutputChecker):
    """Counts and addresses change with every build of the kernel."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(_NUMBER.sub("0", want), _NUMBER.sub("0", got), optionflags)


def test_the_session_at_the_prompt(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    result = rig.run("q35", memory=64 << 20, generations=2, keep=True).expect_pass()
    monkeypatch.chdir(result.folder)
    session = "\n".join(re.findall(r"```pycon\n(.*?)```", _DOCUMENT, re.S))
    # Where the blocks are is decided by the seed and the build.
    with khorig.open_dump("gen1.sealed.ram.zst") as dump:
        block = max(dump.blocks, key=lambda block: block.size)
        session = session.replace("dump.owner(0x3001234)", f"dump.owner({block.address + 0x1234})")
    test = doctest.DocTestParser().get_doctest(session, {}, "docs/library.md", None, 0)
    assert len(test.examples) >= 10
    failures: list[str] = []
    doctest.DocTestRunner(_ExceptNumbers()).run(test, out=failures.append)
    assert not failures, "".join(failures)


def test_a_test_outside_of_the_tree(tmp_path: Path) -> None:
    text, _ = re.findall(r"```python\n(.*?)```", _DOCUMENT, re.S)
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 20
    (tmp_path / "test_stores.py").write_text(text)
    [command] = re.findall(r"^\$ .* (-m pytest .*)$", _DOCUMENT, re.M)
    done = subprocess.run(
        [sys.executable, *command.split(), f"--basetemp={tmp_path / 'base'}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(_PACKAGES)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_distribution_outside_of_the_tree(tmp_path: Path) -> None:
    _, module = re.findall(r"```python\n(.*?)```", _DOCUMENT, re.S)
    [points] = re.findall(r"```ini\n(.*?)```", _DOCUMENT, re.S)
    information = tmp_path / "netdev-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: khorig-netdev\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(points)
    (tmp_path / "netdev.py").write_text(module)

    def run(*words: str) -> tuple[int, str]:
        path = os.pathsep.join((str(_PACKAGES), str(tmp_path)))
        done = subprocess.run(
            [sys.executable, "-m", "khorig", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "KHORIG_OUT": str(tmp_path / "out")},
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    status, listed = run("list")
    added = [line for line in listed.splitlines() if line.endswith("(from khorig-netdev 1.0)")]
    assert [line.split()[0] for line in added] == ["small", "pc-q35-7.2", "netdev"]
    assert run("explain", "NET-1")[0] == 0
    status, out = run("run", "--machine", "pc-q35-7.2,virt", "--scenario", "small")
    assert status == 0 and "PASS  x86_64/pc-q35-7.2 small" in out, out
    status, out = run("run", "--scenario", "recursion", "--machine", "q35")
    assert status == 1 and "NET-1 there are few fragments" in out, out
    status, out = run("run", "--scenario", "small", "--machine", "q35", "--append", "megabytes=64")
    assert status == 1 and "KHR-I114" in out and " pages" in out, out
