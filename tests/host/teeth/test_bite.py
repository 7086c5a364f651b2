# SPDX-License-Identifier: BSD-3-Clause
"""What counts as found: FAIL, with the page and its owner in the first finding."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import pytest

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import Poke
from khorig.guest.poked import Poked
from khorig.linux.teeth import Teeth
from khorig.out.teeth import TeethRenderer, bite_lines, score_lines, teeth_document
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics
from khorig.run.result import RunResult
from khorig.run.teeth.bite import Bite, Outcome, bite_of
from khorig.run.teeth.plan import Attempt, OutOfReach, Plan

OWNER = "khorig/log page 1"
ADDRESS = 0x0800_1010
PLAIN = KhorigRun("x86_64", "q35")
POKE = Poke(1, "sealed", OWNER, 16)
ATTEMPT = Attempt(
    dataclasses.replace(PLAIN, pokes=(POKE,)), "log", POKE, "it waits", OWNER,
    frozenset({0x0A00_0000}),
)  # fmt: skip
RIGHT = Finding("KHR-I080", "page changed", f"{ADDRESS & ~0xfff:#018x}", OWNER, 2, "entry")


def result(verdict: Verdict, *findings: Finding, poked: bool = True) -> RunResult:
    done = [Poked(str(POKE), f"{ADDRESS:#018x}", OWNER, 0, 1)] if poked else []
    return RunResult(
        ATTEMPT.spec, verdict, list(findings), 2, Statistics(), [], 0.1, "7.2.22", None,
        poked=done, rerun="scripts/khorig run --poke X",
    )  # fmt: skip


def changed(**fields: Any) -> Finding:
    return dataclasses.replace(RIGHT, **fields)


@pytest.mark.parametrize(
    ("came", "outcome"),
    [
        (result(Verdict.FAIL, RIGHT), Outcome.CAUGHT),
        (result(Verdict.FAIL, RIGHT, changed(where="", owner="")), Outcome.CAUGHT),
        (result(Verdict.FAIL, changed(where=f"{ADDRESS:#x}")), Outcome.CAUGHT),
        (result(Verdict.FAIL, changed(where="0x000000000a000ff8")), Outcome.CAUGHT),
        (result(Verdict.FAIL, changed(where="0x0000000008002000")), Outcome.UNNAMED),
        (result(Verdict.FAIL, changed(where="")), Outcome.UNNAMED),
        (result(Verdict.FAIL, changed(where="kernel/core/seal.cc:7")), Outcome.UNNAMED),
        (result(Verdict.FAIL, changed(owner="")), Outcome.UNNAMED),
        (result(Verdict.FAIL, changed(owner="khorig/log page 2")), Outcome.UNNAMED),
        (result(Verdict.FAIL, changed(owner=""), RIGHT), Outcome.UNNAMED),
        (result(Verdict.CRASH, RIGHT), Outcome.UNNAMED),
        (result(Verdict.HANG, RIGHT), Outcome.UNNAMED),
        (result(Verdict.PASS), Outcome.MISSED),
        (result(Verdict.FAIL, RIGHT, poked=False), Outcome.UNDONE),
        (result(Verdict.PASS, poked=False), Outcome.UNDONE),
        (result(Verdict.INFRA, changed(verdict=Verdict.INFRA)), Outcome.UNDONE),
        (result(Verdict.SKIP, changed(verdict=Verdict.SKIP)), Outcome.UNDONE),
    ],
)
def test_outcome(came: RunResult, outcome: Outcome) -> None:
    bite = bite_of(ATTEMPT, came)
    assert bite.outcome is outcome
    assert bite.is_tooth == (outcome is Outcome.CAUGHT)


def test_the_owner_is_that_of_the_byte_in_this_run() -> None:
    came = result(Verdict.FAIL, changed(owner="khorig/log page 3"))
    came.poked = [dataclasses.replace(came.poked[0], owner="khorig/log page 3")]
    assert bite_of(ATTEMPT, came).outcome is Outcome.CAUGHT
    came.poked = [dataclasses.replace(came.poked[0], owner="nobody")]
    assert bite_of(ATTEMPT, came).outcome is Outcome.UNNAMED


def teeth(*bites: Bite) -> Teeth:
    """As it is after all attempts of one plan."""
    tried = Teeth(("log",))
    beyond = (
        OutOfReach("root", 1, "sealed", "no stop"),
        OutOfReach("node", 1, "sealed", "no stop"),
    )
    tried.plans = [Plan(PLAIN, (ATTEMPT,), beyond)]
    tried.bites = list(bites)
    return tried


def test_what_was_missed_is_told_with_place_reason_and_command() -> None:
    lines = "\n".join(bite_lines(bite_of(ATTEMPT, result(Verdict.PASS))))
    assert lines.startswith(" MISSED  x86_64/q35")
    for text in (str(POKE), "0x0000000008001010", "it waits", "PASS", OWNER, "--poke X"):
        assert text in lines
    lines = "\n".join(bite_lines(bite_of(ATTEMPT, result(Verdict.FAIL, changed(owner="")))))
    assert "UNNAMED" in lines and f"{RIGHT.rule}: page changed" in lines


def test_the_score_is_of_what_was_tried() -> None:
    score, beyond = score_lines(teeth(bite_of(ATTEMPT, result(Verdict.FAIL, RIGHT))))
    assert score.startswith("caught 1 of 1 ") and "khorig" in score and "x86_64/q35" in score
    assert beyond == "  not covered  1:sealed  root, node: no stop"
    score, _ = score_lines(teeth(bite_of(ATTEMPT, result(Verdict.PASS))))
    assert score.startswith("caught 0 of 1 ")


def test_json_has_every_attempt() -> None:
    document = json.loads(teeth_document(teeth(bite_of(ATTEMPT, result(Verdict.PASS)))))
    (run,) = document["chains"]
    assert (run["chain"], run["teeth"], run["of"]) == (["khorig"], 0, 1)
    (attempt,) = run["attempts"]
    assert (attempt["class"], attempt["outcome"], attempt["finding"]) == ("log", "missed", None)
    assert [beyond["owner_class"] for beyond in run["out_of_reach"]] == ["root", "node"]


@pytest.mark.parametrize("verbose", [False, True])
def test_what_was_found_is_shown_when_asked_for(verbose: bool) -> None:
    tried = teeth()
    tried.add_plan(Plan(PLAIN, (ATTEMPT,), ()))
    stream = io.StringIO()
    renderer = TeethRenderer(stream, tried, verbose)
    renderer.begin([ATTEMPT.spec])
    renderer.result(result(Verdict.FAIL, RIGHT))
    assert ("CAUGHT" in stream.getvalue()) == verbose
    renderer.result(result(Verdict.PASS))
    assert "MISSED" in stream.getvalue()


def test_a_run_without_damage_is_shown_when_it_does_not_pass() -> None:
    stream = io.StringIO()
    renderer = TeethRenderer(stream, teeth())
    broken = dataclasses.replace(result(Verdict.FAIL, RIGHT), spec=PLAIN)
    renderer.result(dataclasses.replace(broken, verdict=Verdict.PASS))
    assert stream.getvalue() == ""
    renderer.result(broken)
    assert "FAIL" in stream.getvalue()
