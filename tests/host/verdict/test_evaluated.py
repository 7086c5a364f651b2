# SPDX-License-Identifier: BSD-3-Clause
"""What counts as evaluated and as compared, and what a run is told that lacks it."""

from __future__ import annotations

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.evaluated import Evaluated
from khorig.rules.plan import Plan
from khorig.rules.protocol import definitions as protocol
from khorig.run.coverage import Coverage, JumpCoverage
from khorig.run.judge import RunJudge
from khorig.run.timed_judge import TimedJudge

A, B = protocol.SEGMENTS, protocol.LEDGER
STOPS = ("entry", "restored", "sealed")


def missing(evaluated: Evaluated) -> list[tuple[str, int, str]]:
    return [(f.what.split()[0], f.generation, f.stop) for f in evaluated.missing]


def test_a_rule_counts_where_and_when_it_was_evaluated() -> None:
    due: dict[str, tuple[str, ...]] = {at: (A, B) for at in STOPS}
    evaluated = Evaluated()
    for at in STOPS:
        evaluated.add(A, 1, at)
        evaluated.add(B, 1, at)
    evaluated.close(1, due)
    assert missing(evaluated) == []
    evaluated.add(A, 2, "entry")
    evaluated.add(B, 2, "sealed")
    evaluated.close(2, due)
    assert missing(evaluated) == [
        (B, 2, "entry"), (A, 2, "restored"), (B, 2, "restored"), (A, 2, "sealed"),
    ]  # fmt: skip


def test_a_generation_in_which_nothing_happened() -> None:
    evaluated = Evaluated()
    evaluated.add(A, 1, "sealed")
    evaluated.close(2, {"sealed": (A,)})
    assert missing(evaluated) == [(A, 2, "sealed")]


def test_of_very_much_that_is_missing_the_first_is_named() -> None:
    evaluated = Evaluated()
    for generation in range(1, 100):
        evaluated.close(generation, {"sealed": (A, B)})
    assert missing(evaluated)[:3] == [(A, 1, "sealed"), (B, 1, "sealed"), (A, 2, "sealed")]
    assert len(evaluated.missing) == 10


@pytest.mark.parametrize(
    "added, jumps",
    [
        ([], []),
        ([(1, 5)], [(1, 1, 5)]),
        ([(1, 5), (1, 9), (1, 7)], [(1, 1, 9)]),  # the same pages, compared again
        ([(1, 5), (2, 5), (3, 5)], [(1, 3, 5)]),
        ([(1, 5), (2, 6), (3, 5)], [(1, 1, 5), (2, 2, 6), (3, 3, 5)]),
        ([(1, 5), (3, 5)], [(1, 1, 5), (3, 3, 5)]),
        ([(1, 5), (2, 0), (3, 5)], [(1, 1, 5), (3, 3, 5)]),
        ([(1, 0)], []),
        ([(1, 4), (2, 2), (2, 4), (3, 4)], [(1, 3, 4)]),
    ],
)
def test_what_was_compared_across_each_jump(
    added: list[tuple[int, int]], jumps: list[tuple[int, int, int]]
) -> None:
    coverage = Coverage()
    for jump, pages in added:
        coverage.add(jump, pages, 4096)
    assert coverage.jumps == tuple(
        JumpCoverage(first, last, pages, 4096 * pages) for first, last, pages in jumps
    )
    for jump in range(5):
        expected = [pages for first, last, pages in jumps if first <= jump <= last]
        assert coverage.pages(jump) == (expected[0] if expected else 0)


def test_a_jump_to_a_kernel_that_refuses_is_compared_all_the_same() -> None:
    plan = Plan(KhorigRun("x86_64", "q35", generations=3, expected_refusals={2: "fdt-magic"}))
    assert [plan.is_compared(jump) for jump in (1, 2)] == [True, True]


def boot(judge: RunJudge, generation: int) -> None:
    fields = {"ev": "boot", "parameters": "0x1000", "handover": generation > 1}
    judge.on_event(GuestEvent("boot", generation, 0, 0.0, fields))


def test_the_first_jump_across_which_nothing_was_compared_is_named() -> None:
    for compared, wanted in (((), 1), ((1,), 2), ((1, 2), None), ((2,), 1)):
        judge = RunJudge(KhorigRun("x86_64", "q35", generations=3))
        for generation in (1, 2, 3):
            boot(judge, generation)
            if generation in compared:
                judge._coverage.add(generation, 7, 4096)
        found = [f for f in judge.finish(33) if f.rule == protocol.COMPARED]
        assert [f.generation for f in found] == ([wanted + 1] if wanted else [])


def test_a_run_that_is_timed_is_judged_by_its_kernels() -> None:
    judge = TimedJudge(ChainRun("x86_64", "q35", kernels=("khorig",) * 2, stops=()))
    for generation in (1, 2):
        boot(judge, generation)
    assert judge.finish(33) == []


def test_another_fault_is_not_the_one_that_was_armed() -> None:
    judge = RunJudge(KhorigRun("x86_64", "q35", generations=1, fault="write-after-seal"))
    judge.on_event(GuestEvent("fault", 1, 0, 0.0, {"name": "lost-update"}))
    assert [f.rule for f in judge.finish(33)] == [protocol.FAULT_FIRED]
