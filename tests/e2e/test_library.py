# SPDX-License-Identifier: BSD-3-Clause
"""docs/library.md: its session at the prompt, and its test outside of the tree."""

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
    [text] = re.findall(r"```python\n(.*?)```", _DOCUMENT, re.S)
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
