# SPDX-License-Identifier: BSD-3-Clause
"""What a run leaves: what it was made of, where it is, and that it may be moved."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from rig import Rig, Script, handover_script

from khorig.cli.main import main
from khorig.guest.spec_json import spec_from_json
from khorig.rules.finding import Finding


def test_the_folder_says_what_the_run_was_made_of(rig: Rig) -> None:
    (rig.folder / "build" / "khorig-x86_64.bin").write_bytes(b"a kernel")
    result = rig.run(handover_script(), seed=7)
    folder = Path(result.directory)
    run = json.loads((folder / "run.json").read_text())
    digest = hashlib.sha256(b"a kernel").hexdigest()
    assert spec_from_json(run["spec"]) == result.spec and result.spec.seed == 7
    assert run["rerun"][:3] == ["run", "--machine", "q35"]
    assert run["kernels"]["khorig"]["sha256"] == digest and run["kernels"]["khorig"]["bytes"] == 8
    assert set(run["files"]) == {"kernel", "archive"}
    assert set(run["symbols"]) == {"khorig"}
    assert run["versions"]["qemu"] == "7.2.22" and run["versions"]["khorig"]
    started = json.loads((folder / "events.jsonl").read_text().splitlines()[0])
    verdict = json.loads((folder / "verdict.json").read_text())
    assert started["kernels"] == verdict["kernels"] == {"khorig": digest}


def test_what_a_run_is_made_of_is_written_before_it_starts(rig: Rig) -> None:
    (rig.folder / "bin" / "qemu-system-x86_64").unlink()
    result = rig.run(handover_script())
    run = json.loads((Path(result.directory) / "run.json").read_text())
    assert run["versions"]["qemu"] is None and run["kernels"]["khorig"]["bytes"] == 0


def test_results_say_where_the_artifacts_are(rig: Rig) -> None:
    result = rig.run(handover_script())
    session = Path(result.directory).parents[1]
    document = json.loads((session / "results.json").read_text())
    assert document["folder"] == "."
    artifacts = document["runs"][0]["artifacts"]
    assert artifacts == "handover/x86_64-q35-16M"
    assert (session / artifacts / "verdict.json").is_file()


def test_a_moved_folder_is_read_where_it_is(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """No document depends on the place: report, inspect and diff of the moved folder work."""
    found = Finding("KHR-I080", "page changed", "0x5000", generation=2, stop="entry")
    script: Script = []
    for line in handover_script():
        if line[0] == "say" and '"ev": "stop"' in line[1]:
            script.append(["poke", [0x5000, f"{len(script):02x}"]])
        script.append(line)
    rig.judge.on_stops = lambda c: [found] if (c.generation, c.at) == (2, "entry") else []
    result = rig.run(script, record=True, counted=False)
    session = Path(result.directory).parents[1]
    before = os.fspath(session)
    moved = rig.folder / "elsewhere"
    session.rename(moved)
    for name in ("results.json", "junit.xml", "results.ktap", f"{result.id}/verdict.json"):
        assert before not in (moved / name).read_text(), name

    def khorig(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return int(str(ended.value.code)), capsys.readouterr().out

    run = moved / result.id
    assert khorig("report", moved)[0] == 0
    report = (moved / "report.html").read_text()
    assert re.findall(f".*{re.escape(before)}.*", report) == []
    assert "<span>--page</span> <span>0x5000</span>" in report
    sealed, entry = run / "gen1.sealed.ram.zst", run / "gen2.entry.ram.zst"
    status, out = khorig("inspect", entry, "--page", "0x5000")
    assert status == 0 and "as gen1.sealed.ram.zst: 1 of 4096 bytes differ" in out
    status, out = khorig("diff", sealed, entry)
    assert status == 1 and "0x0000000000005000" in out
