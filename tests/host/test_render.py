# SPDX-License-Identifier: BSD-3-Clause
"""What people and machines get to read."""

from __future__ import annotations

import dataclasses
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from khorig.cli import exit_codes
from khorig.guest.khorig_run import KhorigRun
from khorig.out.costs import cost_per_page, jump_cost
from khorig.out.documents import results_document, verdict_document
from khorig.out.junit import junit_document
from khorig.out.ktap import ktap_document
from khorig.out.live import LiveRenderer
from khorig.out.plain import PlainRenderer, verbose_text
from khorig.out.text import result_lines, size, summary_lines
from khorig.rules.finding import Finding, Verdict
from khorig.run.coverage import JumpCoverage
from khorig.run.judging import Statistics
from khorig.run.outputs import Renderer
from khorig.run.result import Phase, RunResult

_NASTY = "page \x1b[31m0x1000\x00 & <b> differs \ud7ff"


_JUMPS = (JumpCoverage(1, 2, 16384, 64 << 20),)


def _result(verdict: Verdict, what: str = _NASTY) -> RunResult:
    spec = KhorigRun("x86_64", "q35")
    phases = [
        Phase(1, "serialize", 400_000),
        Phase(2, "relocate", 300_000),
        Phase(2, "early-boot", 200_000),
        Phase(2, "restore", 128_000, 10, 1000),
        Phase(2, "take-back", 86_400, 10, 1000),
        Phase(1, "preserve", 64_000, 10, 1000),
    ]
    finding = Finding(
        "" if verdict is Verdict.SKIP else "KHR-I080", what, where="0x1000",
        owner="store 'a' page 4", generation=2, stop="entry",
        evidence=tuple(f"line {i}" for i in range(40)), verdict=verdict,
    )  # fmt: skip
    return RunResult(
        spec=spec,
        verdict=verdict,
        findings=[] if verdict is Verdict.PASS else [finding] * 20,
        generations=3,
        statistics=Statistics(2048, 16384, 64 << 20, 12, 3, 40, 65536, _JUMPS),
        phases=phases,
        wall_s=0.412,
        qemu="7.2.22",
        exit_status=33,
        console_tail=[f"console {i}" for i in range(40)],
        recorded="reproduced",
        id="handover/x86_64-q35",
        directory="/somewhere/out/handover/x86_64-q35",
        rerun="scripts/khorig run --machine q35",
    )


_ALL = [_result(verdict) for verdict in Verdict]


def test_a_pass_says_what_was_proven_and_what_it_cost() -> None:
    text = "\n".join(result_lines(_result(Verdict.PASS)))
    for words in (
        "PASS", "x86_64/q35", "handover", "3 generations", "0.41 s", "16384 pages", "2048 blocks",
        "64 MiB", "12 fragments, depth 3", "1.03 M instructions", "serialize 0.40 M",
        "quiesce+relocate 0.30 M", "early boot 0.20 M", "restore 0.13 M",
        "preserve 64.0 instructions a page",
        "restore 86.4 instructions a page", "16384 pages compared across each of 2 jumps",
    ):  # fmt: skip
        assert words in text


def test_a_pass_says_that_nothing_was_looked_at() -> None:
    """Not that there are 0 bytes."""
    bare = dataclasses.replace(_result(Verdict.PASS), statistics=Statistics())
    text = "\n".join(result_lines(bare))
    assert "3 generations  0.41 s  no handover was looked at" in text and " 0 " not in text
    assert "no pages compared across a jump" in text
    one = dataclasses.replace(bare, generations=1)
    assert "compared" not in "\n".join(result_lines(one))


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.PASS, Verdict.SKIP)])
def test_a_failure_says_it_all_in_30_lines(verdict: Verdict) -> None:
    lines = result_lines(_result(verdict))
    assert len(lines) < 30
    assert lines[0].startswith(f" {verdict.value} ")
    assert "generation 2 of 3 at entry" in lines[0]
    assert "0x1000" in lines[1] and lines[1].startswith("  error")
    assert any("store 'a' page 4" in line for line in lines)
    assert lines[-1] == "  rerun     scripts/khorig run --machine q35"
    assert all(char.isprintable() for line in lines for char in line)


def test_results_have_the_agreed_fields() -> None:
    document = json.loads(results_document(_ALL))
    assert list(document) == ["schema", "folder", "runs"]
    for run, verdict in zip(document["runs"], Verdict):
        assert list(run) == [
            "id", "arch", "machine", "scenario", "verdict", "rule", "cause",
            "generations",
            "preserved_blocks", "preserved_bytes", "fragments", "fragment_depth", "wall_s",
            "qemu", "seed", "spec", "online", "kernels", "artifacts",
        ]  # fmt: skip
        assert run["verdict"] == verdict.value
        assert (run["cause"] == "") == (verdict is Verdict.PASS)


def test_a_verdict_has_its_findings() -> None:
    document = json.loads(verdict_document(_result(Verdict.FAIL)))
    assert document["findings"][0]["owner"] == "store 'a' page 4"
    assert document["findings"][0]["verdict"] == document["verdict"] == "FAIL"
    assert document["spec"]["seed"] == KhorigRun.seed


def test_ktap_has_a_plan_and_a_point_for_each_run() -> None:
    lines = ktap_document(_ALL).splitlines()
    assert lines[:2] == ["KTAP version 1", f"1..{len(_ALL)}"]
    points = [line for line in lines if line.startswith(("ok ", "not ok "))]
    numbers = [int(line.removeprefix("not ").split()[1]) for line in points]
    assert numbers == list(range(1, len(_ALL) + 1))
    by_verdict = dict(zip(Verdict, points))
    good = {verdict for verdict, point in by_verdict.items() if point.startswith("ok ")}
    assert good == {Verdict.PASS, Verdict.SKIP}
    assert by_verdict[Verdict.PASS] == "ok 1 handover/x86_64-q35"
    assert by_verdict[Verdict.SKIP].startswith("ok 2 handover/x86_64-q35 # SKIP page")
    assert by_verdict[Verdict.FAIL].startswith("not ok 3 handover/x86_64-q35 # KHR-I080 page")
    assert " # TIMEOUT KHR-I080 page" in by_verdict[Verdict.HANG]
    assert " # ERROR KHR-I080 page" in by_verdict[Verdict.INFRA]
    assert all(line.startswith(("#", "ok", "not ok", "KTAP", "1..")) for line in lines)
    assert lines[-1] == "# Totals: pass:1 fail:4 skip:1"


def test_a_point_is_one_line_whatever_the_cause_is() -> None:
    result = _result(Verdict.FAIL, "two\nok 2 lines\r\x85 \u2028 more")
    lines = ktap_document([result]).split("\n")
    assert [line for line in lines if not line.startswith("#")] == [
        "KTAP version 1", "1..1", "not ok 1 handover/x86_64-q35 # KHR-I080 two?ok 2 lines?? ? more",
        "",
    ]  # fmt: skip


def test_what_is_told_of_many_findings() -> None:
    result = _result(Verdict.CRASH, "the first")
    others = [Finding("KHR-I080", f"number {n}", verdict=Verdict.FAIL) for n in range(2, 8)]
    evidence = ("the first, again", "the first", "a register")
    first = dataclasses.replace(result.findings[0], evidence=evidence)
    lines = result_lines(dataclasses.replace(result, findings=[first, *others]))
    also = [line for line in lines if "number" in line]
    assert [line.rsplit(" ", 1)[1] for line in also] == ["2", "3", "4"]
    assert any(line.endswith("and 3 more in verdict.json") for line in lines)
    assert [line.split("  ")[-1].strip() for line in lines if "a register" in line] == [
        "a register"
    ]
    assert sum("the first" in line for line in lines) == 2, "what is in the cause is no proof of it"
    log = [line.split()[-1] for line in lines if "console" in line]
    assert log == ["34", "35", "36", "37", "38", "39"]


@pytest.mark.parametrize("generation, place", [(0, "before the guest ran"), (1, "generation 1 of")])
def test_where_it_went_wrong(generation: int, place: str) -> None:
    result = _result(Verdict.FAIL)
    finding = dataclasses.replace(result.findings[0], generation=generation, stop="")
    assert place in result_lines(dataclasses.replace(result, findings=[finding]))[0]


def test_the_last_line_counts_every_verdict() -> None:
    assert summary_lines(_ALL, Path("/out/now"), 1.0)[0].startswith(
        "6 runs: 1 passed, 3 failed, 1 skipped, 1 infrastructure error   1.0 s"
    )


def test_costs_of_jumps_that_differ() -> None:
    phases = [
        Phase(1, "serialize", 10), Phase(2, "relocate", 100), Phase(2, "restore", 5),
        Phase(2, "serialize", 20), Phase(3, "relocate", 300), Phase(3, "restore", 7),
        Phase(3, "serialize", 10_000),  # for a jump that never came
        Phase(2, "preserve", 90, 1, 0), Phase(2, "preserve", 30, 1, 10),
    ]  # fmt: skip
    assert jump_cost(phases) == {"serialize": 20, "quiesce+relocate": 300, "restore": 7}
    assert jump_cost(phases[:1]) == {}
    assert cost_per_page(phases, "preserve") == 3.0
    assert cost_per_page(phases, "take-back") is None


def test_junit_can_be_read_back() -> None:
    suite = ET.fromstring(junit_document(_ALL).encode())[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "6", "failures": "3", "errors": "1", "skipped": "1"}
    details = [[child.tag for child in case if child.tag != "properties"] for case in suite]
    assert details == [
        ["system-out"], ["skipped"], ["failure"], ["failure"], ["failure"], ["error"],
    ]  # fmt: skip
    message = suite[2].find("failure")
    assert message is not None and "& <b> differs" in str(message.get("message"))


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (1, 4096, 64 << 20, 6 << 30, 3 << 29)] == [
        "1 B", "4 KiB", "64 MiB", "6 GiB", "1.5 GiB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "verdicts, code",
    [
        ([Verdict.PASS, Verdict.PASS], 0),
        ([Verdict.PASS, Verdict.SKIP], 0),
        ([Verdict.PASS, Verdict.FAIL], 1),
        ([Verdict.CRASH], 1),
        ([Verdict.INFRA, Verdict.FAIL], 1),
        ([Verdict.INFRA, Verdict.PASS], 3),
        ([Verdict.SKIP], 4),
        ([], 4),
        ([Verdict.FAIL, Verdict.HANG, Verdict.INFRA], 124),
    ],
)
def test_the_worst_run_decides(verdicts: list[Verdict], code: int) -> None:
    assert exit_codes.exit_code([_result(verdict) for verdict in verdicts]) == code


@pytest.mark.parametrize("kind", [PlainRenderer, LiveRenderer])
def test_a_session_is_shown(kind: type[PlainRenderer] | type[LiveRenderer]) -> None:
    stream = io.StringIO()
    renderer: Renderer = kind(stream, verbose=True)
    spec = KhorigRun("x86_64", "q35")
    renderer.begin([spec])
    renderer.tick()
    event = {"ev": "boot", "gen": 1, "t": 0}
    renderer.record(spec, {"s": 0.1, "ev": "guest", "event": event})
    renderer.record(spec, {"s": 0.2, "ev": "console", "text": "hello \x1b[2J"})
    renderer.record(spec, {"s": 0.3, "ev": "stop", "gen": 1, "at": "sealed", "host_ms": 1.0})
    renderer.record(spec, {"s": 0.4, "ev": "verdict", "verdict": "PASS"})
    renderer.result(_result(Verdict.PASS))
    renderer.end([_result(Verdict.PASS)], Path("/out/now"), 0.5)
    text = stream.getvalue()
    assert "hello ?[2J" in text
    assert "sealed: checked in" in text
    assert "1 run: 1 passed, 0 failed, 0 skipped, 0 infrastructure errors" in text
    assert "seed 0x5eed0001" in text


def test_a_long_silence_names_what_is_running() -> None:
    stream = io.StringIO()
    renderer = PlainRenderer(stream, silence_s=0.0)
    spec = KhorigRun("arm64", "virt")
    renderer.begin([spec])
    renderer.record(spec, {"s": 0.0, "ev": "start"})
    renderer.tick()
    assert "0/1 done  running: arm64/virt handover" in stream.getvalue()


def test_devices_are_told_of_when_there_is_something_to_tell() -> None:
    timer = {"device": "PIT channel 0", "why": "periodic timer runs"}
    record = {"ev": "devices", "gen": 2, "seen": ["PIT"], "left_on": [], "unread": []}
    assert verbose_text(record) is None
    record |= {"left_on": [timer], "unread": ["HPET: QMP error"]}
    text = "[host] left on: PIT channel 0, periodic timer runs; not read: HPET: QMP error"
    assert verbose_text(record) == text
