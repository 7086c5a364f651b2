# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate defects of the kernel: the verdict names the cause, the page and the owner."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.run.faults import known_faults
from khorig.vm.limits import Limits


@dataclass(frozen=True)
class Expected:
    """What the first finding says."""

    verdict: Verdict
    rule: str
    owner: str  # a pattern for all of it
    generation: int
    stop: str


EXPECTED = {
    "root-not-preserved": Expected(Verdict.FAIL, "KHR-I005", "root", 1, "sealed"),
    "node-in-scratch": Expected(
        Verdict.FAIL, "KHR-I022", r"radix node of level 0, prefix 0x\w+", 1, "sealed"
    ),
    "write-after-seal": Expected(
        Verdict.FAIL, "KHR-I080", r"block \d+ \(order \d+\) page \d+", 2, "entry"
    ),
    "segment-outside-scratch": Expected(
        Verdict.FAIL, "KHR-I110", r"block \d+ \(order \d+\) page \d+", 1, "sealed"
    ),
    "tail-not-restored": Expected(
        Verdict.FAIL, "KHR-I086", r"block \d+ \(order [1-9]\d*\) page [1-9]\d*", 2, "restored"
    ),
    "hang-before-jump": Expected(Verdict.HANG, "KHR-I105", "", 1, ""),
    "panic-after-restore": Expected(Verdict.CRASH, "KHR-I102", "", 2, ""),
    "bus-master-left-on": Expected(Verdict.FAIL, "KHR-I123", "PCI function 00:00.0", 2, "entry"),
    "timer-left-armed": Expected(
        Verdict.FAIL, "KHR-I123", "PIT channel 0|virtual timer of CPU 0", 2, "entry"
    ),
    "interrupt-left-unmasked": Expected(
        Verdict.FAIL, "KHR-I123", "local APIC of CPU 0|GIC distributor", 2, "entry"
    ),
    "interrupt-controller-left-on": Expected(
        Verdict.FAIL, "KHR-I123", "local APIC of CPU 0|GIC distributor", 2, "entry"
    ),
}


# What only several CPUs can do wrong: test_smp.py and test_storm.py.
OF_CPUS = {
    "ap-spins-in-old-text",
    "park-page-unowned",
    "root-published-early",
    "lost-tracker-update",
}
# What needs a device that machines do not have by themselves: test_quiesce.py.
OF_DEVICES = {"virtio-left-on"}
# What page rights forbid: test_page_rights.py.
OF_PAGES = {
    "write-text",
    "write-constants",
    "execute-data",
    "execute-ram",
    "stack-overflow",
    "stack-overflow-ap",
}


def test_every_fault_has_an_expectation() -> None:
    """What a kernel that checks itself has besides is in test_undefined_behavior.py."""
    assert set(EXPECTED) | OF_CPUS | OF_DEVICES | OF_PAGES == set(known_faults())


@pytest.mark.parametrize("fault", sorted(EXPECTED))
@each_arch
def test_the_verdict_names_the_fault(rig: Rig, machine: str, fault: str) -> None:
    expected = EXPECTED[fault]
    limits = Limits(silence_s=0.2, interval_s=0.02)  # of the one that hangs
    result = rig.run(
        machine, "handover", limits=limits, fault=fault, extra_options=("megabytes=16",)
    )
    assert result.findings, "the defect was not found"
    found = result.findings[0]
    assert found.verdict is expected.verdict, found
    assert found.rule == expected.rule, found
    assert re.fullmatch(expected.owner, found.owner), found
    assert (found.generation, found.stop) == (expected.generation, expected.stop), found


@each_arch
def test_a_panic_is_symbolized(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", fault="panic-after-restore")
    backtrace = "\n".join(result.findings[0].evidence)
    assert "TakeOver" in backtrace or "Run+" in backtrace, backtrace


@each_arch
def test_the_control_passes(rig: Rig, machine: str) -> None:
    rig.run(machine, "handover", extra_options=("megabytes=16",)).expect_pass()
