# SPDX-License-Identifier: BSD-3-Clause
"""docs/inspect.md does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from dumps.dump_files import write_described
from report.runs import result, write_session
from view.handover_image import SCRATCH, HandoverImage, typical_image

from khorig.kho.codecs import CODECS
from khorig.rules.finding import Verdict
from khorig.rules.registry import RULES, static_rules
from khorig.rules.rule import Kind
from khorig.rules.static.format_rules import FORMAT_RULES

_ROOT = Path(__file__).resolve().parents[3]
_DOCUMENT = (_ROOT / "docs" / "inspect.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the dumps that the document talks about."""
    scratch = [[hex(a.begin), hex(a.size)] for a in SCRATCH]

    def write(name: str, image: HandoverImage, at: str = "sealed") -> None:
        facts = {
            "arch": "arm64", "machine": "virt", "generation": 1, "at": at,
            "root": hex(image.root), "scratch": scratch,
        }  # fmt: skip
        write_described(tmp_path / name, image.ram, facts)

    sample = typical_image()
    sample.finish()
    write("sample.ram", sample)
    at, _ = next(block for block in sample.blocks if block[1] == 4)
    sample.ram.write(at + 100, b"somebody else's")
    write("later.ram", sample, "entry")
    broken = typical_image()
    broken.clients["lost"] = broken.link(broken.allocate())
    broken.finish()
    write("broken.ram", broken)
    write_session(tmp_path / "out", [result(Verdict.PASS)])
    return tmp_path


def run(folder: Path, words: list[str]) -> str:
    """What a command prints."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / "qemu")}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def matches(expected: str, printed: str) -> bool:
    """`...` stands for anything."""
    parts = [re.escape(part) for part in re.split(r"\.\.\.\n?", expected)]
    return re.fullmatch("(?s)" + ".*".join(parts), printed) is not None


def examples() -> list[tuple[str, str]]:
    """(command, what it prints)"""
    found = []
    for block in re.findall(r"```console\n(.*?)```", _DOCUMENT, re.S):
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, printed = example.partition("\n")
            found.append((command, printed))
    return found


@pytest.mark.parametrize("command, expected", examples())
def test_commands(command: str, expected: str, folder: Path) -> None:
    program, *words = shlex.split(command)
    assert program == "khorig"
    printed = run(folder, [sys.executable, "-m", "khorig", *words])
    assert matches(expected, printed), printed


def test_numbers_and_names() -> None:
    formats = {rule.id for rule in FORMAT_RULES}
    static = sorted(static_rules().keys() - formats)
    assert f"`{static[0]}` to `{static[-1]}`" in _DOCUMENT
    assert f"from `{min(formats)}`" in _DOCUMENT
    for kind in (Kind.TEMPORAL, Kind.PROTOCOL):
        first = min(rule.id for rule in RULES.values() if rule.kind is kind)
        assert f"from `{first}`" in _DOCUMENT
    for compatible in CODECS:
        assert f"| `{compatible}` |" in _DOCUMENT
