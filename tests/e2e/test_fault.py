# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate defects of the kernel: the verdict names the cause, the page and the owner."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from guest import ONE_OF_EACH, Guest, expect_pass

from khorig.rules.finding import Verdict
from khorig.run.faults import FAULTS


@dataclass(frozen=True)
class Expected:
    """What the first finding says."""

    verdict: Verdict
    what: str  # a pattern
    owner: str  # a pattern
    generation: int
    stop: str


EXPECTED = {
    "root-not-preserved": Expected(Verdict.FAIL, "root", "root", 1, "sealed"),
    "node-in-scratch": Expected(Verdict.FAIL, "scratch", "radix node", 1, "sealed"),
    "write-after-seal": Expected(Verdict.FAIL, "hash", "blocks|block", 2, "entry"),
    "segment-outside-scratch": Expected(Verdict.FAIL, "scratch", "block", 1, "sealed"),
    "tail-not-restored": Expected(Verdict.FAIL, "order|tail|preserved", "block", 2, "restored"),
    "hang-before-jump": Expected(Verdict.HANG, "no progress", "", 1, ""),
    "panic-after-restore": Expected(Verdict.CRASH, "panic", "", 2, ""),
}


# What only several CPUs can do wrong: test_smp.py and test_storm.py.
OF_CPUS = {
    "ap-spins-in-old-text",
    "park-page-unowned",
    "root-published-early",
    "lost-tracker-update",
}


def test_every_fault_has_an_expectation() -> None:
    assert set(EXPECTED) | OF_CPUS == set(FAULTS)


@pytest.mark.parametrize("fault", sorted(EXPECTED))
@ONE_OF_EACH
def test_the_verdict_names_the_fault(guest: Guest, machine: str, fault: str) -> None:
    expected = EXPECTED[fault]
    result = guest.run(machine, "handover", fault=fault, extra_options=("megabytes=16",))
    assert result.findings, "the defect was not found"
    found = result.findings[0]
    assert found.verdict is expected.verdict, found
    assert re.search(expected.what, found.what), found
    assert re.search(expected.owner, found.owner), found
    assert (found.generation, found.stop) == (expected.generation, expected.stop), found


@ONE_OF_EACH
def test_a_panic_is_symbolized(guest: Guest, machine: str) -> None:
    result = guest.run(machine, "handover", fault="panic-after-restore")
    backtrace = "\n".join(result.findings[0].evidence)
    assert "TakeOver" in backtrace or "Run+" in backtrace, backtrace


@ONE_OF_EACH
def test_the_control_passes(guest: Guest, machine: str) -> None:
    expect_pass(guest.run(machine, "handover", extra_options=("megabytes=16",)))
