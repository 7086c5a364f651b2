# SPDX-License-Identifier: BSD-3-Clause
"""What ends a run, what it is then called, and what is kept of it."""

from __future__ import annotations

import json
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, Script, event, handover_script, stop

from khorig.guest.event import GuestEvent
from khorig.kho.owned_page import OwnedPage
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import StopContext


def _wrong(what: str, verdict: Verdict = Verdict.FAIL) -> Finding:
    return Finding("KHR-I080", what, verdict=verdict)


def test_a_finding_of_the_judge_in_an_event_ends_the_run(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_event(event: GuestEvent) -> list[Finding]:
        return [_wrong("bad words")] if (event.kind, event.generation) == ("phase", 2) else []

    monkeypatch.setattr(rig.judge, "on_event", on_event)
    result = rig.run(handover_script())
    assert (result.verdict, result.cause, result.generations) == (Verdict.FAIL, "bad words", 2)
    assert rig.judge.finished == [None]
    assert (2, "restored") not in rig.judge.stops


def test_no_hook_touches_memory_that_is_wrong_already(rig: Rig) -> None:
    called: list[tuple[int, str]] = []

    def hook(context: StopContext) -> list[str]:
        called.append((context.generation, context.at))
        return []

    def on_stop(context: StopContext) -> list[Finding]:
        return [_wrong("changed")] if (context.generation, context.at) == (2, "entry") else []

    rig.hooks, rig.judge.on_stops = [hook], on_stop
    assert rig.run(handover_script()).cause == "changed"
    assert called == [(1, "entry"), (1, "sealed")]


def test_the_first_finding_decides(rig: Rig) -> None:
    script: Script = [
        event("boot", 1, handover=False),
        ["say", "@khorig cut"],
        event("panic", 1, text="page fault"),
        ["exit", 37],
    ]
    result = rig.run(script)
    assert result.verdict is Verdict.FAIL and "garbled" in result.cause
    assert Verdict.CRASH in [finding.verdict for finding in result.findings]


@pytest.mark.parametrize(
    "name, words",
    [("RESET", "unexpected reset"), ("GUEST_PANICKED", "guest panic reported by QEMU")],
)
def test_what_qemu_reports_is_a_crash(rig: Rig, name: str, words: str) -> None:
    script = handover_script()
    result = rig.run([*script[:3], ["event", [name, {}]], ["sleep", 60]])
    assert result.verdict is Verdict.CRASH
    assert words in result.cause


def test_time_that_the_host_takes_at_a_stop_is_not_the_guests_silence(rig: Rig) -> None:
    def on_stop(context: StopContext) -> list[Finding]:
        time.sleep(1.6)
        return []

    rig.judge.on_stops = on_stop
    script: Script = [event("boot", 1, handover=False), *stop("entry", 1), ["busy", 60]]
    result = rig.run(script, timeout_s=2.0)
    assert (result.verdict, "making progress" in result.cause) == (Verdict.INFRA, True)
    silence = re.match(r"silent for (\d+\.\d) s", result.findings[0].evidence[-1])
    assert silence is not None and 0.9 <= float(silence[1]) < 2.5


def test_an_image_is_described_by_its_own_generation(rig: Rig) -> None:
    frames, scratch = {"table": "0x1000", "first": 0, "count": 1}, [["0x400000", "0x1000"]]
    memory = event("memory", 1, frames=frames, scratch=scratch)
    script: Script = []
    for line in handover_script():
        script.append(line)
        if '"entry"' in str(line[1]) and '"gen": 1' in str(line[1]):
            script += [["stop", None], memory]
    del script[script.index(memory) + 1]  # the stop that was moved before it
    result = rig.run(script, keep=True)
    assert result.verdict is Verdict.PASS, result.findings
    kept = {
        name: json.loads((Path(result.directory) / f"{name}.json").read_text())
        for name in ("gen1.entry", "gen1.sealed", "gen2.entry", "gen2.sealed")
    }
    assert [description["scratch"] for description in kept.values()] == [None, scratch, None, None]
    assert [description["frames"] for description in kept.values()] == [None, frames, None, None]


def test_another_failure_is_not_the_same_once_more(rig: Rig) -> None:
    causes = iter(["first", "second"])

    def on_stop(context: StopContext) -> list[Finding]:
        return [_wrong(next(causes))]

    rig.judge.on_stops = on_stop
    result = rig.run(handover_script(), record=True)
    assert result.cause == "first"
    assert "NOT reproduced: rerun gave FAIL: second" in result.recorded


def test_a_page_that_lies_elsewhere_is_the_same_once_more(rig: Rig) -> None:
    def run_twice(*owners: OwnedPage | None) -> str:
        pages = iter(zip((0x1000, 0x2000), owners))

        def on_stop(context: StopContext) -> list[Finding]:
            page, owner = next(pages)
            changed = Changed(1, "sealed", 0x1000, (page,), 1, (owner,))
            return [Finding("KHR-I080", f"page {page:#x} changed", changed=changed)]

        rig.judge.on_stops = on_stop
        return rig.run(handover_script(), record=True).recorded

    assert run_twice(OwnedPage("memblock/a", 3), OwnedPage("memblock/a", 3)).startswith("reprod")
    for owner, other in ((OwnedPage("memblock/a", 3), OwnedPage("memblock/a", 4)), (None, None)):
        assert "NOT reproduced: rerun gave FAIL: page 0x2000 changed" in run_twice(owner, other)


def test_a_hang_is_done_once_more(rig: Rig) -> None:
    script: Script = [event("boot", 1, handover=False), *stop("entry", 1), ["hang", None]]
    result = rig.run(script, record=True)
    assert result.verdict is Verdict.HANG
    assert "reproduced;" in result.recorded
    assert (Path(result.directory) / "recorded" / "gen1.entry.ram.zst").exists()


def test_an_interrupted_run_is_not_done_once_more(rig: Rig) -> None:
    def on_stop(context: StopContext) -> list[Finding]:
        rig.cancellation.cancel(signal.SIGTERM)
        return [_wrong("changed")]

    rig.judge.on_stops = on_stop
    result = rig.run(handover_script(), record=True)
    assert (result.cause, result.recorded) == ("changed", "")
    assert rig.judge.stops == [(1, "entry")]


@pytest.mark.parametrize(
    "circle, limits",
    [(["circle", 4], {"looks": 5}), (["busy", 60], {"spin_s": 0.3})],
    ids=["most states repeat", "no code is new"],
)
def test_a_guest_in_a_long_circle_at_the_deadline_hangs(
    rig: Rig, circle: list[object], limits: dict[str, Any]
) -> None:
    rig.limits = replace(rig.limits, **limits)
    script: Script = [event("boot", 1, handover=False), *stop("entry", 1), circle]
    result = rig.run(script, timeout_s=3.0)
    assert result.verdict is Verdict.HANG
    spins = "CPU 0 spins in 0x0000000000001000"
    assert result.cause == f"timed out after 3 s without progress: {spins}"


@pytest.mark.parametrize(
    "last, status", [(event("done", 3, status="pass"), 33), (event("panic", 3, text="ouch"), 37)]
)
def test_a_shutdown_with_a_status_is_not_looked_at(rig: Rig, last: list[Any], status: int) -> None:
    """As isa-debug-exit ends the guest in QEMU 10 and later."""
    down = ["event", ["SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]]
    script = [*handover_script()[:-2], last, ["status", status], down, ["sleep", 60]]
    result = rig.run(script)
    assert result.exit_status == status
    assert (result.verdict is Verdict.PASS) == (status == 33)
    assert "info registers -a" not in (Path(result.directory) / "qmp.jsonl").read_text()
