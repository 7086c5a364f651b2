# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bisect` on a git tree of Linux, with one commit among ten that breaks the handover."""

from __future__ import annotations

import json
import re
import resource
import shutil
from pathlib import Path

import pytest
from linux_history import BAD, make_history

from khorig.cli import exit_codes
from khorig.cli.main import main
from khorig.linux.build import missing_packages, only_builder
from khorig.linux.source import DebianSource, linux_apt
from khorig.pytest_plugin import each_arch

_PACKAGE = "linux-source-7.3"
_LIMIT_S = 20 * 60.0  # on two cores


def say(line: str) -> None:
    print(line, flush=True)


def _used_s() -> float:
    """Of all CPUs, by what this process started: a busy machine takes no more of it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of Debian's source, and from then on a cache of its own."""
    if missing := missing_packages():
        pytest.skip(f"missing packages: apt-get install {' '.join(missing)}")
    if linux_apt().kept(_PACKAGE) is None:
        pytest.skip(f"no {_PACKAGE} in the cache: scripts/khorig linux build --version 7.3")
    tree = tmp_path / "linux"
    source = DebianSource("7.3")
    with only_builder(say):
        shutil.copytree(source.tree(say), tree, symlinks=True)
        source.remove()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tree


@each_arch
def test_the_commit_that_breaks_the_handover_is_found(
    tree: Path, tmp_path: Path, machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = make_history(tree)
    out = tmp_path / "out"
    words = ["bisect", "--source", tree, "--good", commits[0], "--bad", "main", "--out", out]
    before_s = _used_s()
    with pytest.raises(SystemExit) as end:
        main([*map(str, words), "--machine", machine, "--match", "KHR-I009"])
    used_s = _used_s() - before_s
    told = capsys.readouterr().out
    assert end.value.code == exit_codes.PASS, told
    assert f"\n  {BAD.subject}\n" in told
    assert "violates KHR-I009 client data is preserved completely" in told
    assert re.search(r"^  where +0x[0-9a-f]{13}000$", told, re.MULTILINE), told
    records = [json.loads(line) for line in (out / "latest/steps.jsonl").read_text().splitlines()]
    assert {record["outcome"] for record in records} == {"good", "bad"}
    # The first one compiles everything; an edit of one file takes a link.
    assert sum(record["build_s"] for record in records[1:]) < records[0]["build_s"]
    assert used_s / 2 < _LIMIT_S
