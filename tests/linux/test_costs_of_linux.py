# SPDX-License-Identifier: BSD-3-Clause
"""Costs of real Linux, counted by the probe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from khorig.pytest_plugin import built_peer, each_arch
from khorig.vm.machines import machine_named


def bench(out: Path, machine: str, *options: str) -> tuple[int, str, dict[str, Any]]:
    """`khorig bench linux --source 7.3`: status, text, document."""
    built_peer(machine_named(machine).arch, "linux-7.3")
    words = [sys.executable, "-m", "khorig", "bench", "linux", "--source", "7.3"]
    words += ["--machine", machine, "--out", str(out), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = list(out.glob("20*/cost.json"))  # not by the link to the latest
    assert len(found) == 1, done.stdout + done.stderr
    assert found[0].with_name("cost.svg").read_text().startswith("<svg ")
    return done.returncode, done.stdout, json.loads(found[0].read_text())


@each_arch
def test_files_cost_what_they_are(tmp_path: Path, machine: str) -> None:
    status, text, document = bench(tmp_path, machine, "--kind", "files", "--limit", "10")
    assert status == 0, text
    for point in document["points"]:
        assert not point["why_not"] and point["done"] == point["wanted"]
        assert set(point["instructions"]) == {"preserve", "blackout", "boot", "retrieve", "finish"}
        assert all(count > 0 for count in point["instructions"].values())
    one, ten = document["points"]
    for phase in ("preserve", "retrieve"):
        assert ten["instructions"][phase] > 2 * one["instructions"][phase]
    # Each file has a page that describes it, an array of its folios, and here one folio.
    for part in ("arrays", "payload"):
        assert ten["pages"][part] == 10 * one["pages"][part] > 0


def test_sessions_of_73_cost_more_the_more_there_are(tmp_path: Path) -> None:
    """A name is compared with those of all sessions before it (luo_session_insert())."""
    status, text, document = bench(tmp_path, "virt", "--kind", "sessions")
    flagged = {growth["what"] for growth in document["growth"] if growth["flagged"]}
    assert status == 1 and flagged == {"preserve", "retrieve"}, text
    assert text.count("<-- faster than its work") == 2


@each_arch
def test_the_comparison_with_khorig_has_its_ratios(tmp_path: Path, machine: str) -> None:
    """Its runs have no stops, so that no time is the host's: the kernels are their own judges."""
    built_peer(machine_named(machine).arch, "linux-7.3")
    words = [sys.executable, "-m", "khorig", "bench", "linux", "--machine", machine]
    words += ["--rounds", "1", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("cold boot to verdict, M instr.", "jump to verdict, s"):
        assert line in done.stdout, done.stdout
