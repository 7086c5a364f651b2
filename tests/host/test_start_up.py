# SPDX-License-Identifier: BSD-3-Clause
"""What happens between the command and QEMU's start is little. Time cannot be measured on a shared
machine; what is imported can be counted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from rig import Rig, Script, event
from tiny_kernel import build_elf

_MAIN = """
import json, subprocess, sys
real = subprocess.Popen
class Popen(real):
    def __init__(self, argv, *rest, **options):
        print(json.dumps(sorted(sys.modules)), file=sys.stderr)
        super().__init__(argv, *rest, **options)
subprocess.Popen = Popen
from khorig.cli.main import main
main(sys.argv[1:])
"""
_HEAVY = {"elftools", "hypothesis", "jinja2", "libfdt", "numpy", "rich", "xml", "zstandard"}
_MOST = 335  # modules, Python's own included; looking up entry points (importlib.metadata) takes 40


@pytest.fixture
def imported(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The modules that are there when QEMU is started."""
    build_elf(rig.folder / "build" / "khorig-x86_64.elf", {"handover": "h"})
    monkeypatch.setenv("KHORIG_OUT", str(rig.out))
    script: Script = [event("boot", 1, handover=False), event("done", 1, status="pass")]
    rig.play([*script, ["exit", 33]])
    words = ("run", "--machine", "q35", "--generations", "1", "--stops", "none")
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, *words], capture_output=True, text=True, check=False
    )
    return set(json.loads(done.stderr.splitlines()[0]))


def test_nothing_heavy_is_imported_before_qemu_starts(imported: set[str]) -> None:
    assert "khorig.run.run" in imported
    assert imported & _HEAVY == set()
    assert len(imported) < _MOST
