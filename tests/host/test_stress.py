# SPDX-License-Identifier: BSD-3-Clause
"""--stress: the option, what a Linux reports of it, and scratch as a Linux tells it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Mapping

import click
import pytest

from khorig.cli.stress import stressed
from khorig.guest.chain_run import ChainRun
from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.spec_json import spec_from_json, spec_to_json
from khorig.guest.stress_end import StressEnd
from khorig.guest.told_scratch import ToldScratch
from khorig.linux.expectations import Expectations
from khorig.mem.memory import PhysRange
from khorig.mem.untrusted import Untrusted
from khorig.out.documents import verdict_document
from khorig.out.report.run_record import read_result
from khorig.out.text import result_lines
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import RunResult
from khorig.run.result_builder import ResultBuilder

CHAIN = ("linux-7.3", "khorig", "linux-7.3")
SPEC = ChainRun("x86_64", "q35", kernels=CHAIN, stress=(1, 3))
SAID: Mapping[str, Any] = {
    "ev": "stress", "gen": 3, "t": 1, "available": 900 << 20, "touched": 880 << 20, "left": 9 << 20,
    "sizes": 9, "split": 1200, "merged": 17, "compacted": True, "killed": 0, "late": False,
    "pool_pages": 16, "pool_bytes": 32 << 20, "cpus": 3, "ok": True,
}  # fmt: skip


def event(**changes: Any) -> GuestEvent:
    fields = {**SAID, **changes}
    return GuestEvent(fields["ev"], fields["gen"], 1, 0.0, fields)


@pytest.mark.parametrize(
    ("value", "generations"),
    [(None, ()), ("all", (1, 3)), ("3", (3,)), ("3,1,3", (1, 3))],
)
def test_which_generations(value: str | None, generations: tuple[int, ...]) -> None:
    assert stressed(CHAIN, value) == generations


@pytest.mark.parametrize(
    ("kernels", "value", "said"),
    [
        (CHAIN, "2", "generation 2 is khorig, not Linux"),
        (CHAIN, "4", "no generation 4 in a chain of 3 kernels"),
        (CHAIN, "1,x", "expected generations"),
        (CHAIN, "", "expected generations"),
        (CHAIN, "-1", "expected generations"),
        (("khorig", "khorig"), "all", "no Linux in this chain"),
    ],
)
def test_what_no_linux_would_get(kernels: tuple[str, ...], value: str, said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        stressed(kernels, value)


def test_a_run_has_it_and_can_be_repeated() -> None:
    words = [SPEC.command_line(generation).split() for generation in (1, 2, 3)]
    assert ["khorig.stress=on" in line for line in words] == [True, False, True]
    assert " ".join(SPEC.rerun_words).endswith("--stress 1,3")
    assert spec_from_json(spec_to_json(SPEC)) == SPEC
    assert SPEC.first(2).stress == (1,)
    plain = dataclasses.replace(SPEC, stress=())
    assert "--stress" not in plain.rerun_words and "stress" not in plain.command_line(1)
    with pytest.raises(Untrusted):
        spec_from_json({**spec_to_json(SPEC), "stress": ["1"]})


def result_of(fields: Mapping[str, Any]) -> RunResult:
    builder = ResultBuilder(SPEC)
    builder({"ev": "guest", "event": fields})
    builder({"ev": "verdict", "verdict": "PASS", "generations": 3, "wall_s": 1.0, "qemu": "",
             "statistics": dataclasses.asdict(Statistics()), "exit_status": 33,
             "console_tail": []})  # fmt: skip
    return builder.result()


def test_the_result_has_its_numbers() -> None:
    result = result_of(SAID)
    line = (
        "generation 3: stress: touched 880 of 900 MiB available in folios of 9 sizes, 1200 folios "
        "split and 17 huge pages merged, memory compacted, 16 huge pages (32 MiB) in pools and "
        "back, 3 CPUs off and on"
    )
    assert any(line in text for text in result_lines(result))
    failed = dataclasses.replace(result, verdict=Verdict.FAIL, findings=[Finding("", "lost")])
    assert any(line in text for text in result_lines(failed))
    assert read_result(json.loads(verdict_document(result))).stress == list(result.stress)
    assert not result_of({**SAID, "touched": "all"}).stress


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"late": True}, "then its time was over"),
        ({"killed": 2}, "after 2 processes were killed for want of memory"),
        ({"compacted": False}, "no compaction"),
        ({"ok": False}, "something was lost"),
    ],
)
def test_what_was_not_as_it_should_be_is_said(changes: dict[str, Any], words: str) -> None:
    assert words in StressEnd.of(event(**changes)).line
    assert words not in StressEnd.of(event()).line


@pytest.mark.parametrize("changes", [{"touched": -1}, {"late": 1}, {"cpus": None}, {"ok": "yes"}])
def test_a_wrong_report_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(EventFieldError):
        StressEnd.of(event(**changes))


def test_a_linux_that_was_told_to_has_to_report_it() -> None:
    expectations = Expectations(SPEC)
    expectations.take(event(gen=1))
    expectations.take(event(ok=False))
    with pytest.raises(EventFieldError):
        expectations.take(event(left="none"))
    missing = [f.what for f in expectations.finish() if f.what.startswith("stress")]
    assert missing == ["stress: generation 3 did not print: stress"]


def test_scratch_as_a_linux_tells_it() -> None:
    told = ToldScratch()
    files = {"out/scratch_phys": "0x1000000\n0x0\n", "out/bootmem_len": "0x400000\n0x0\n",
             "out/fdt": "not text"}  # fmt: skip
    for name, text in files.items():
        told.take(event(ev="debugfs", file=name, text=text))
    assert told.areas == (PhysRange(0x1000000, 0x400000), PhysRange(0, 0))
    for text in ("0xzz", f"{1 << 64:#x}"):
        with pytest.raises(EventFieldError):
            told.take(event(ev="debugfs", file="out/scratch_len", text=text))
