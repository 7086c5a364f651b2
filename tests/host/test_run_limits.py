# SPDX-License-Identifier: BSD-3-Clause
"""What time a guest and the host have, and whose it is."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig import Rig, Script, handover_script

from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import StopContext


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_guest_that_had_no_time_to_boot_is_not_blamed(rig: Rig) -> None:
    result = rig.run([["sleep", 60]], timeout_s=0.1)
    assert result.verdict is Verdict.INFRA
    assert result.cause == "timed out after 0.1 s before a kernel booted; raise --timeout"


def test_what_the_host_takes_at_a_stop_is_not_the_guests_time(rig: Rig) -> None:
    def on_stop(context: StopContext) -> list[Finding]:
        time.sleep(3.2)
        return []

    rig.judge.on_stops = on_stop
    script = [*handover_script(1)[:-2], ["sleep", 0.3], *handover_script(1)[-2:]]
    assert rig.run(script, generations=1, timeout_s=3.0).verdict is Verdict.PASS


def test_images_have_a_time_limit_of_their_own(rig: Rig) -> None:
    rig.limits = replace(rig.limits, images_s=0.0)
    script: Script = [["poke", [0x1000, "41"]], *handover_script()[:-2], ["exit", 37]]
    result = rig.run(script, record=True)
    recorded = Path(result.directory) / "recorded"
    assert result.recorded == (
        "reproduced; guest RAM at every stop in recorded/, 8 omitted (time limit)"
    )
    assert [*recorded.glob("*.ram.zst*"), *Path(result.directory).glob("gen*")] == []
    left_out = [r for r in _records(recorded) if r["ev"] == "image"]
    assert left_out[0]["file"] == "gen1.entry.ram.zst" and "time limit" in left_out[0]["left_out"]


def test_endless_output_is_cut_off(rig: Rig) -> None:
    rig.limits = replace(rig.limits, console=1 << 14)
    script: Script = [["raw", ("x" * 1023 + "\n") * 20], ["sleep", 60]]
    assert "bytes of console output" in rig.run(script).cause


def test_slowness_is_not_the_guests_fault(rig: Rig) -> None:
    chatter: Script = [["say", "still here"], ["busy", 0.1]] * 100
    result = rig.run([*handover_script()[:1], *chatter], timeout_s=1.0)
    assert result.verdict is Verdict.INFRA
    assert "raise --timeout" in result.cause


def test_a_silent_guest_that_gets_on_to_the_deadline_is_no_hang(rig: Rig) -> None:
    result = rig.run([*handover_script()[:1], ["busy", 60]], timeout_s=1.0)
    assert result.verdict is Verdict.INFRA
    assert result.cause == ("timed out after 1 s while still making progress; raise --timeout")
    assert re.search(
        r"silent for [01]\.\d s; 0 of \d+ CPU samples", result.findings[0].evidence[-1]
    )
