# SPDX-License-Identifier: BSD-3-Clause
"""What a run leaves: what it was made of, where it is, and that it may be moved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from rig import Rig, handover_script

from khorig.guest.spec_json import spec_from_json


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
