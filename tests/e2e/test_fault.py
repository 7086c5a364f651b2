# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate defects of the kernel: the verdict names the cause, the page and the owner."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.bugs import bugs
from khorig.rules.finding import Verdict
from khorig.run.axes.read import read_axes
from khorig.run.faults import FaultInfo, known_faults
from khorig.vm.limits import Limits


@dataclass(frozen=True)
class Expected:
    """What the first finding says."""

    rule: str
    generation: int
    stop: str
    owner: str  # a pattern for all of it
    verdict: Verdict = Verdict.FAIL


PAGE = r"block \d+ \(order \d+\) page \d+"
NODE = r"radix node of level \d, prefix 0x\w+"

EXPECTED = {
    "root-not-preserved": Expected("KHR-I005", 1, "sealed", "root"),
    "node-in-scratch": Expected("KHR-I022", 1, "sealed", NODE),
    "late-preserve": Expected("KHR-I081", 2, "entry", NODE),
    "segment-outside-scratch": Expected("KHR-I110", 1, "sealed", PAGE),
    "entry-misplaced": Expected("KHR-I110", 1, "sealed", ""),
    "write-after-seal": Expected("KHR-I080", 2, "entry", PAGE),
    "tail-not-restored": Expected(
        "KHR-I086", 2, "restored", r"block \d+ \(order [1-9]\d*\) page [1-9]\d*"
    ),
    "hang-before-jump": Expected("KHR-I105", 1, "", "", Verdict.HANG),
    "panic-after-restore": Expected("KHR-I102", 2, "", "", Verdict.CRASH),
    "destination-elsewhere": Expected("KHR-I130", 1, "sealed", "plan|code"),
    "relocator-not-executable": Expected("KHR-I130", 1, "sealed", "code"),
    "bus-master-left-on": Expected("KHR-I123", 2, "entry", "PCI function 00:00.0"),
    "timer-left-armed": Expected("KHR-I123", 2, "entry", "PIT channel 0|virtual timer of CPU 0"),
    "interrupt-left-unmasked": Expected(
        "KHR-I123", 2, "entry", "local APIC of CPU 0|GIC distributor"
    ),
    "interrupt-controller-left-on": Expected(
        "KHR-I123", 2, "entry", "local APIC of CPU 0|GIC distributor"
    ),
}


# What only several CPUs can do wrong: test_storm.py.
OF_CPUS = {"root-published-early", "lost-tracker-update", "ap-writes-from-old-text"}
# What page rights forbid: test_page_rights.py.
OF_PAGES = {
    "write-text",
    "write-constants",
    "execute-data",
    "execute-ram",
    "stack-overflow",
    "stack-overflow-ap",
}
# What takes more memory regions than boot_params hold: tests/uefi/test_start.py.
OF_MANY_REGIONS = {"e820-truncated"}

# What only a device that works across the jump can lose: test_live_dma.py.
OF_LIVE_DEVICES = {
    "device-page-not-preserved",
    "iommu-tables-not-preserved",
    "live-device-stopped",
}


# What only CPUs that have it can do without: test_modes.py.
OF_MODES = {"smep-left-off", "smep-left-off-ap", "wp-left-off"}


def test_every_fault_is_made_by_a_test() -> None:
    """The catalogue's are made by test_catalogue.py. What a kernel that checks itself has besides
    is in test_undefined_behavior.py."""
    made = {way.fault for bug in bugs().values() for way in bug.ways if way.fault}
    made |= {axis.fault for axis in read_axes() if axis.fault}  # test_axes.py
    elsewhere = OF_CPUS | OF_PAGES | OF_LIVE_DEVICES | OF_MANY_REGIONS | OF_MODES
    assert set(EXPECTED) | elsewhere | made == set(known_faults())


@pytest.mark.parametrize("fault", known_faults().values(), ids=list(known_faults()))
def test_a_fault_names_bugs_of_the_catalogue(fault: FaultInfo) -> None:
    """And each way of the catalogue is one that its fault names."""
    made = {bug.id for bug in bugs().values() for way in bug.ways if way.fault == fault.name}
    assert made <= set(fault.bugs) <= set(bugs())


@pytest.mark.parametrize("fault", EXPECTED)
@each_arch
def test_the_verdict_names_the_fault(rig: Rig, machine: str, fault: str) -> None:
    expected = EXPECTED[fault]
    limits = Limits(silence_s=0.2, interval_s=0.02)  # of the one that hangs
    result = rig.run(machine, "chain", limits=limits, fault=fault)
    assert result.findings, "the defect was not found"
    found = result.findings[0]
    assert (found.verdict, found.rule) == (expected.verdict, expected.rule), found
    assert re.fullmatch(expected.owner, found.owner), found
    assert (found.generation, found.stop) == (expected.generation, expected.stop), found


@each_arch
def test_a_panic_is_symbolized(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", fault="panic-after-restore")
    backtrace = "\n".join(result.findings[0].evidence)
    assert "TakeOver" in backtrace or "Run+" in backtrace, backtrace


@each_arch
def test_the_control_passes(rig: Rig, machine: str) -> None:
    rig.run(machine, "chain").expect_pass()


@each_arch
def test_a_hang_has_every_cpu_and_comes_soon(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", smp=2, fault="hang-before-jump", record=False)
    assert result.verdict is Verdict.HANG, result.findings
    assert result.cause.startswith("no progress: CPU 0 spins in "), result.cause
    assert [cpu.number for cpu in result.cpus] == [0, 1]
    for cpu in result.cpus:
        assert len(cpu.registers) > 15 and len(cpu.frames) >= 2, cpu
    assert any("LoadAndJump" in frame.where for frame in result.cpus[0].frames)
