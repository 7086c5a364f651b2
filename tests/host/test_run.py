# SPDX-License-Identifier: BSD-3-Clause
"""How runs end, with a script in place of QEMU."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, Script, event, handover_script, stop

from khorig.guest.poke import Poke
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import POKED
from khorig.run.judging import StopContext
from khorig.run.result import RunResult


def _without(script: Script, text: str) -> Script:
    """The script without the first line that has `text`, and what waits for it."""
    index = next(i for i, (action, argument) in enumerate(script) if text in str(argument))
    after = index + (2 if script[index + 1][0] == "stop" else 1)
    return script[:index] + script[after:]


def _before(script: Script, text: str, *lines: list[Any]) -> Script:
    index = next(i for i, (action, argument) in enumerate(script) if text in str(argument))
    return [*script[:index], *lines]


def _timed_out(result: RunResult) -> bool:
    """Whether the guest was waited for to the end of its time."""
    return any("timed out" in finding.what for finding in result.findings)


def test_a_good_run_passes(rig: Rig) -> None:
    result = rig.run(handover_script())
    assert (result.verdict, result.findings) == (Verdict.PASS, [])
    assert result.generations == 3
    assert result.exit_status == 33
    assert result.qemu == "7.2.22"
    assert rig.judge.stops == [
        (1, "entry"), (1, "sealed"), (2, "entry"), (2, "restored"), (2, "sealed"),
        (3, "entry"), (3, "restored"),
    ]  # fmt: skip
    assert rig.judge.finished == [33]


def test_a_good_run_leaves_its_artifacts(rig: Rig) -> None:
    result = rig.run(handover_script())
    assert rig.files(result) == {
        "console.log", "events.jsonl", "qemu.argv", "qemu.stderr", "qmp.jsonl", "rerun.sh",
        "run.json", "verdict.json",
    }  # fmt: skip
    folder = Path(result.directory)
    assert (rig.out / "latest").resolve() == folder.parents[1].resolve()
    assert "generation 2 says hello\r\n" in (folder / "console.log").read_bytes().decode()
    assert os.access(folder / "rerun.sh", os.X_OK)
    assert '"$khorig" run --machine q35' in (folder / "rerun.sh").read_text()
    records = [json.loads(line) for line in (folder / "events.jsonl").open()]
    assert (records[0]["ev"], records[-1]["ev"]) == ("start", "verdict")
    assert all(a["s"] <= b["s"] for a, b in zip(records, records[1:]))
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "PASS"


@pytest.mark.parametrize(
    "text, cause",
    [
        ('"at": "sealed"', "generation 1 did not stop at 'sealed'"),
        ('"at": "restored"', "generation 2 did not stop at 'restored'"),
        ('"done"', "run ended without event 'done'"),
        ('"jump"', "generation 2 booted, but generation 1 did not jump"),
    ],
)
def test_what_is_missing_is_named(rig: Rig, text: str, cause: str) -> None:
    result = rig.run(_without(handover_script(), text))
    assert cause in result.cause


def test_a_run_that_ends_early_fails(rig: Rig) -> None:
    script = handover_script(2)
    assert "generation 2 of 3" in rig.run(script).cause


def test_a_reset_without_a_word_is_a_crash(rig: Rig) -> None:
    script = _before(
        handover_script(), '"jump"',
        ["event", ["SHUTDOWN", {"guest": True, "reason": "guest-reset"}]], ["exit", 0],
    )  # fmt: skip
    result = rig.run(script)
    assert result.verdict is Verdict.CRASH
    assert "triple fault" in result.cause
    assert "gen1.end.ram.zst" in rig.files(result)


def test_a_second_banner_is_a_crash(rig: Rig) -> None:
    again = event("boot", 1, handover=False)
    result = rig.run(_before(handover_script(), '"jump"', again, ["sleep", 60]))
    assert result.verdict is Verdict.CRASH
    assert "generation 1 booted, but generation 1 did not jump" in result.cause
    assert not _timed_out(result)


def test_a_panic_is_a_crash_with_what_was_printed(rig: Rig) -> None:
    script = _before(
        handover_script(), '"jump"', event("panic", 1, text="page fault"),
        ["say", "RIP 0123"], ["say", "  handover::Seal+0x12"], ["exit", 37],
    )  # fmt: skip
    result = rig.run(script)
    assert (result.verdict, result.cause) == (Verdict.CRASH, "panic: page fault")
    assert result.findings[0].evidence == ("RIP 0123", "  handover::Seal+0x12")


def test_a_panic_that_cuts_an_event_short_is_seen(rig: Rig) -> None:
    panic = event("panic", 1, text="nested")[1]
    script = _before(
        handover_script(), '"jump"', ["raw", '@khorig {"ev":"phase","na' + panic + "\n"],
        ["exit", 37],
    )  # fmt: skip
    assert rig.run(script).cause == "panic: nested"


def test_a_guest_that_panics_and_stays_is_not_waited_for(rig: Rig) -> None:
    script = _before(handover_script(), '"jump"', event("panic", 1, text="x"), ["sleep", 60])
    rig.limits = replace(rig.limits, last_words_s=0.2)
    result = rig.run(script)
    assert result.verdict is Verdict.CRASH
    assert not _timed_out(result)


def test_a_linux_that_panics_and_stays_is_a_crash_of_who_was_jumped_to(rig: Rig) -> None:
    """Before it has read panic=-1 it does not reset the machine."""
    said = "Kernel panic - not syncing: Attempted to kill the idle task!"
    script = handover_script()
    jump = next(at for at, step in enumerate(script) if '"jump"' in str(step))
    rig.limits = replace(rig.limits, last_words_s=0.2)
    result = rig.run([*script[: jump + 1], ["say", f"[    0.0] {said}"], ["sleep", 60]])
    assert (result.verdict, result.cause) == (Verdict.CRASH, said)
    assert result.findings[0].generation == 2
    assert not _timed_out(result)


def test_an_expected_panic_has_to_end_the_machine(rig: Rig) -> None:
    script: Script = [event("boot", 1, handover=False), event("panic", 1, text="x")]
    assert rig.run([*script, ["exit", 37]], expected_status=37).verdict is Verdict.PASS
    rig.limits = replace(rig.limits, last_words_s=0.2)
    result = rig.run([*script, ["sleep", 60]], expected_status=37)
    assert result.verdict is Verdict.FAIL
    assert "did not exit" in result.cause


def test_status_37_without_a_word_is_a_crash(rig: Rig) -> None:
    result = rig.run(_before(handover_script(), '"jump"', ["exit", 37]))
    assert (result.verdict, result.exit_status) == (Verdict.CRASH, 37)
    assert "37" in result.cause


def test_what_the_guest_finds_is_the_cause(rig: Rig) -> None:
    script = _before(
        handover_script(), '"done"',
        event("fail", 3, what="ledger", file="a.cc", line=7, text="two pages differ"),
        event("done", 3, status="fail"), ["exit", 35],
    )  # fmt: skip
    result = rig.run(script)
    assert (result.verdict, result.cause) == (Verdict.FAIL, "ledger: two pages differ")
    assert result.findings[0].where == "a.cc:7"
    assert result.exit_status == 35


def test_a_mismatch_names_page_owner_and_both_values(rig: Rig) -> None:
    page = event("mismatch", 3, page="0x1f2c4000", want="0x1", got="0xffff", owner="store 'a'")
    result = rig.run(_before(handover_script(), '"done"', page, ["exit", 35]))
    finding = result.findings[0]
    assert (finding.where, finding.owner) == ("0x000000001f2c4000", "store 'a'")
    assert "0x0000000000000001" in finding.what and "0x000000000000ffff" in finding.what


def test_an_expected_status_is_a_pass(rig: Rig) -> None:
    script: Script = [
        event("boot", 1, handover=False),
        *stop("entry", 1),
        event("error", 1, cause="memory", text="16 MiB are too little"),
        ["exit", 39],
    ]
    assert rig.run(script, expected_status=39).verdict is Verdict.PASS
    result = rig.run(script)
    assert (result.verdict, result.exit_status) == (Verdict.FAIL, 39)
    assert result.cause == "memory: 16 MiB are too little"
    assert rig.run(script, expected_status=41).verdict is Verdict.FAIL


def test_a_refusal_fails_unless_it_is_expected(rig: Rig) -> None:
    refused = event("refused", 2, cause="fdt-magic", where="0x1000", text="no FDT magic")
    script: Script = []
    for line in handover_script():
        if '"gen": 2' in str(line[1]) and '"early-boot"' in str(line[1]):
            script.append(refused)
        script.append(line)
    refusing = _without(script, '"at": "restored"')
    result = rig.run(refusing, expected_refusals={2: "fdt-magic"})
    assert result.verdict is Verdict.PASS, result.findings
    assert "fdt-magic" in rig.run(script).cause
    assert "expected radix-cycle" in rig.run(script, expected_refusals={2: "radix-cycle"}).cause
    accepted = rig.run(handover_script(), expected_refusals={2: "fdt-magic"})
    assert "accepted a corrupted handover" in accepted.cause


def test_a_finding_of_the_judge_ends_the_run_with_the_guest_still_there(rig: Rig) -> None:
    def on_stop(context: StopContext) -> list[Finding]:
        if context.at != "entry" or context.generation != 2:
            return []
        assert context.ram.read(0x1000, 4) == bytes.fromhex("0badcafe")
        return [Finding("KHR-I080", "page 0x1000 changed", generation=2, stop="entry")]

    rig.judge.on_stops = on_stop
    script: Script = [["poke", [0x1000, "0badcafe"]], *handover_script()]
    result = rig.run(script)
    assert (result.verdict, result.cause) == (Verdict.FAIL, "page 0x1000 changed")
    assert rig.judge.finished == [None]
    assert "gen2.end.ram.zst" in rig.files(result)


def test_hooks_may_write_guest_memory(rig: Rig) -> None:
    written = []

    def tamper(context: StopContext) -> list[str]:
        context.ram.write(0x2000, b"tampered")
        written.append(context.ram.read(0x2000, 8))
        return [f"wrote at {context.at}"]

    rig.hooks = [tamper]
    result = rig.run(handover_script())
    assert written == [b"tampered"] * 7
    assert rig.judge.tampered == [], "a write that the judge is to find"
    assert "wrote at sealed" in (Path(result.directory) / "events.jsonl").read_text()


def test_the_judge_hears_of_a_handover_that_is_damaged_on_purpose(rig: Rig) -> None:
    rig.hooks = [lambda context: ["damaged"] if context.at == "sealed" else []]
    rig.run(handover_script(), tamper="root-not-preserved")
    assert rig.judge.tampered == [stop for stop in rig.judge.stops if stop[1] == "sealed"]
    assert rig.judge.tampered


def test_a_poke_is_done_after_the_judge_has_looked_and_is_on_record(rig: Rig) -> None:
    seen: list[int] = []

    def on_stop(context: StopContext) -> list[Finding]:
        seen.append(context.ram.read(0x2000, 1)[0])
        return []

    rig.judge.on_stops = on_stop
    script: Script = [["poke", [0x2000, "41"]], *handover_script()]
    result = rig.run(script, pokes=(Poke(2, "restored", 0x1FFF, 1),))
    assert seen == [0x41, 0x41, 0x41, 0x41, 0x40, 0x40, 0x40]
    assert result.verdict is Verdict.PASS  # this judge is told what to say
    assert [poked.line for poked in result.poked] == ["0x0000000000002000 (unowned): 0x41 -> 0x40"]
    folder = Path(result.directory)
    records = [json.loads(line) for line in (folder / "events.jsonl").open()]
    (hook,) = [record for record in records if record["ev"] == "hook"]
    found = [hook[name] for name in ("gen", "at", "address", "owner", "before", "after")]
    assert found == [2, "restored", "0x0000000000002000", "", 0x41, 0x40]
    assert result.rerun.endswith("--poke 2:restored:0x1fff+0x1")
    assert folder.name == "x86_64-q35-16M-poke-2_restored_0x1fff+0x1"


@pytest.mark.parametrize(
    "poke, why",
    [
        (Poke(1, "sealed", "root"), "no handover at this stop"),
        (Poke(2, "entry", 1 << 40), "0x0000010000000000 is not RAM"),
        (Poke(4, "entry", 0x1000), "generation 4 did not stop at 'entry'"),
    ],
)
def test_a_poke_that_was_not_done_fails_the_run(rig: Rig, poke: Poke, why: str) -> None:
    result = rig.run(handover_script(), pokes=(poke,))
    assert (result.verdict, result.findings[0].rule) == (Verdict.FAIL, POKED)
    assert result.cause == f"poke {poke} not applied: {why}"
    assert result.poked == []


def test_a_bug_of_the_judge_is_not_blamed_on_the_guest(rig: Rig) -> None:
    def on_stop(context: StopContext) -> list[Finding]:
        raise ZeroDivisionError("oops")

    rig.judge.on_stops = on_stop
    result = rig.run(handover_script())
    assert result.verdict is Verdict.INFRA
    assert "ZeroDivisionError" in result.cause
    assert any("on_stop" in line for line in result.findings[0].evidence)


@pytest.mark.parametrize(
    "line, cause",
    [
        ('@khorig {"ev":"stop"', "garbled"),
        ("@khorig nonsense", "garbled"),
        ('@khorig {"ev":"stop","gen":-1,"t":0}', "garbled"),
        ('@khorig {"ev":"stop","gen":1,"t":NaN}', "garbled"),
        ("@khorig " + "[" * 100_000, "garbled"),
        ('@khorig {"ev":' + "[" * 100_000, "garbled"),
        ('@khorig {"ev":"stop","gen":1,"t":0,"at":7}', "'at' is 7"),
        ('@khorig {"ev":"stop","gen":1,"t":0,"at":"lunch"}', "'lunch'"),
        ('@khorig {"ev":"phase","gen":2,"t":0}', "'phase' of generation 2"),
        ('@khorig {"ev":"boot","gen":3,"t":0,"handover":true}', "generation 3 booted"),
    ],
)
def test_bad_lines_fail_the_run_and_are_kept(rig: Rig, line: str, cause: str) -> None:
    script = handover_script()
    result = rig.run([script[0], ["say", line], *script[1:]])
    assert result.verdict in (Verdict.FAIL, Verdict.CRASH)
    assert cause in result.cause
    assert line in (Path(result.directory) / "console.log").read_text()


def test_bytes_that_are_no_text_do_no_harm(rig: Rig) -> None:
    script: Script = [["raw", "\xff\xfe\x00\x1b[2J" * 100 + "\n"], *handover_script()]
    result = rig.run(script)
    assert result.verdict is Verdict.PASS
    log = (Path(result.directory) / "console.log").read_bytes()
    assert log.startswith(b"\xff\xfe\x00\x1b[2J")


def test_a_hang_is_told_from_registers_that_do_not_change(rig: Rig) -> None:
    script = _before(handover_script(), '"jump"', ["hang", None])
    result = rig.run(script)
    assert result.verdict is Verdict.HANG
    assert "no progress" in result.cause
    assert any("0x0000000000001000" in line for line in result.findings[0].evidence)
    assert any("0x0000000000001234" in line for line in result.findings[0].evidence)
    assert not _timed_out(result)


def test_a_silent_guest_that_gets_on_is_no_hang(rig: Rig) -> None:
    script = handover_script()
    slow = [*script[:1], ["busy", 1.0], *script[1:]]
    assert rig.run(slow).verdict is Verdict.PASS


def test_a_failed_run_is_recorded(rig: Rig) -> None:
    script = _before(handover_script(), '"done"', ["exit", 37])
    result = rig.run(script, record=True)
    assert "reproduced;" in result.recorded
    recorded = Path(result.directory) / "recorded"
    images = sorted(path.name for path in recorded.glob("*.ram.zst"))
    assert images == [
        "gen1.entry.ram.zst", "gen1.sealed.ram.zst", "gen2.entry.ram.zst",
        "gen2.restored.ram.zst", "gen2.sealed.ram.zst", "gen3.end.ram.zst",
        "gen3.entry.ram.zst", "gen3.restored.ram.zst",
    ]  # fmt: skip
    sidecar = json.loads((recorded / "gen2.sealed.json").read_text())
    assert sidecar["root"] == "0x1000"
    assert (sidecar["machine"], sidecar["generation"], sidecar["at"]) == ("q35", 2, "sealed")
    assert sidecar["page_shift"] == 12


def test_a_failure_that_does_not_come_back_is_said(rig: Rig) -> None:
    calls = []

    def on_stop(context: StopContext) -> list[Finding]:
        calls.append(context.at)
        return [Finding("KHR-I080", "once only")] if len(calls) == 1 else []

    rig.judge.on_stops = on_stop
    result = rig.run(handover_script(), record=True)
    assert result.verdict is Verdict.FAIL
    assert "NOT reproduced: rerun gave PASS" in result.recorded


def test_ram_images_are_whole(rig: Rig) -> None:
    script: Script = [["poke", [5 << 20, "deadbeef"]], *handover_script()]
    result = rig.run(script, keep=True)
    assert result.verdict is Verdict.PASS
    image = Path(result.directory) / "gen2.sealed.ram.zst"
    raw = subprocess.run(["zstd", "-dcq", image], capture_output=True, check=True).stdout
    assert len(raw) == 16 << 20
    assert raw[5 << 20 :][:4].hex() == "deadbeef"
    assert raw.count(b"\0") == (16 << 20) - 4
