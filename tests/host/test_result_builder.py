# SPDX-License-Identifier: BSD-3-Clause
"""From the lines of a journal to a result."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from khorig.guest.khorig_run import KhorigRun
from khorig.out.documents import verdict_document
from khorig.out.report.run_record import read_result
from khorig.out.text import result_lines
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.refusal import Refusal
from khorig.run.result_builder import ResultBuilder

VERDICT = {
    "ev": "verdict", "verdict": "FAIL", "generations": 2, "wall_s": 1.5, "qemu": "7.2.22",
    "statistics": dataclasses.asdict(Statistics(preserved_pages=7)), "exit_status": 35,
    "console_tail": ["last"],
}  # fmt: skip


def built(*records: dict[str, Any], boot: str = "direct") -> ResultBuilder:
    builder = ResultBuilder(KhorigRun("x86_64", "q35", boot=boot))
    for record in records:
        builder(record)
    return builder


def guest(kind: str, generation: int, now: int, **fields: Any) -> dict[str, Any]:
    return {"ev": "guest", "event": {"ev": kind, "gen": generation, "t": now, **fields}}


def test_without_a_verdict_nobody_knows() -> None:
    result = built(guest("boot", 1, 0)).result()
    assert result.verdict is Verdict.INFRA and "no verdict" in result.cause


def test_a_finding_comes_back_as_it_was() -> None:
    finding = Finding(
        "x", "a page changed", where="0x1000", owner="log", generation=2, stop="entry",
        evidence=("one", "two"), verdict=Verdict.CRASH,
    )  # fmt: skip
    fields = {**dataclasses.asdict(finding), "verdict": "CRASH", "evidence": ["one", "two"]}
    result = built({"ev": "finding", "s": 0.1, **fields}, VERDICT).result()
    assert result.findings == [finding]
    assert (result.verdict, result.exit_status, result.qemu) == (Verdict.FAIL, 35, "7.2.22")
    assert result.statistics.preserved_pages == 7


@pytest.mark.parametrize("boot, shift", [("direct", 0), ("uefi", 6)])
def test_costs_are_instructions(boot: str, shift: int) -> None:
    result = built(
        guest("boot", 1, 64_000),
        guest("phase", 1, 70_000, name="serialize", ns=6_400, pages=3),
        guest("phase", 1, 70_000, name="broken", ns="many"),
        guest("jump", 1, 128_000),
        guest("boot", 2, 192_000),
        VERDICT,
        boot=boot,
    ).result()
    found = [(p.generation, p.name, p.instructions, p.pages) for p in result.phases]
    assert found == [(1, "serialize", 6_400 >> shift, 3), (2, "relocate", 64_000 >> shift, 0)]


def test_cpus_that_did_not_run_are_named() -> None:
    spec = KhorigRun("x86_64", "q35", smp=4)
    builder = ResultBuilder(spec)
    for generation, fields in ((1, {"ev": "boot", "cpus": 2}), (2, {"ev": "cpus", "online": 4})):
        builder({"ev": "guest", "event": {**fields, "gen": generation, "t": 0}})
    builder({"ev": "guest", "event": {"ev": "boot", "gen": 3, "t": 0, "cpus": "many"}})
    builder({**VERDICT, "verdict": "PASS"})
    result = builder.result()
    assert result.online == {1: 2, 2: 4}
    text = "\n".join(result_lines(result))
    assert "generation 1 ran on 2 CPUs of 4" in text and "generation 2" not in text


def test_that_every_cpu_ran_is_said_of_more_than_one() -> None:
    for smp, said in ((4, "4 CPUs in each generation"), (1, "")):
        builder = ResultBuilder(KhorigRun("x86_64", "q35", smp=smp))
        for generation in (1, 2):
            event = {"ev": "boot", "cpus": smp, "gen": generation, "t": 0}
            builder({"ev": "guest", "event": event})
        builder({**VERDICT, "verdict": "PASS"})
        text = "\n".join(result_lines(builder.result()))
        assert said in text and ("CPUs" in text) == bool(said)


def test_a_refusal_is_kept_whatever_its_event_holds() -> None:
    builder = ResultBuilder(KhorigRun("x86_64", "q35"))
    words = {"cause": "compatible-mismatch", "text": "KHO: incompatible"}
    builder(guest("refused", 2, 0, **words))
    builder(guest("refused", 3, 0, cause=["many"], text=7))
    builder(guest("refused", 4, 0, cause="silent", text="Linux says nothing about it"))
    builder(VERDICT)
    result = builder.result()
    assert result.refusals[2] == Refusal("compatible-mismatch", "KHO: incompatible")
    assert result.refusals[2].words == "compatible-mismatch: KHO: incompatible"
    assert [result.refusals[generation].is_silent for generation in (2, 3, 4)] == [
        False, True, True,
    ]  # fmt: skip
    again = read_result(json.loads(verdict_document(result)))
    assert again.refusals == result.refusals
