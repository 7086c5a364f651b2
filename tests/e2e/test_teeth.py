# SPDX-License-Identifier: BSD-3-Clause
"""A change of handed-over memory is found, and page and owner are named (`khorig teeth`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from khorig.cli.main import main
from khorig.pytest_plugin import each_arch

SAMPLE = {"archive", "block", "fragment"}
CLASSES = 13  # of owners in a run of khorig that QEMU starts


def bite(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    """Every attempt; fails with what was not found."""
    with pytest.raises(SystemExit) as ended:
        main(("teeth", "--json", "--out", str(tmp_path), *words))
    printed, said = capsys.readouterr()
    if ended.value.code != 0:
        pytest.fail(said, pytrace=False)
    (chain,) = json.loads(printed)["chains"]
    attempts: list[dict[str, Any]] = chain["attempts"]
    assert (chain["teeth"], chain["out_of_reach"]) == (len(attempts), [])
    return attempts


@each_arch
def test_a_sample(capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: str) -> None:
    words = ("--machine", machine, "--class", ",".join(sorted(SAMPLE)))
    attempts = bite(capsys, tmp_path, *words)
    stops = {attempt["poke"].rsplit(":", 1)[0] for attempt in attempts}
    assert stops == {"1:sealed", "2:entry", "2:restored", "2:sealed", "3:entry"}
    assert {attempt["class"] for attempt in attempts} == SAMPLE


@each_arch
def test_every_class(capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: str) -> None:
    attempts = bite(capsys, tmp_path, "--machine", machine, "--jobs", "2")
    assert len({attempt["class"] for attempt in attempts}) == CLASSES
