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

    rule: str
    generation: int
    stop: str
    owner: str  # a pattern for all of it
    verdict: Verdict = Verdict.FAIL
    cpus: int = 1


BLOCK = r"block \d+ \(order \d+\)"
PAGE = rf"{BLOCK} page \d+"
NODE = r"radix node of level \d, prefix 0x\w+"

EXPECTED = {
    # Preserving memory.
    "preserved-in-scratch": Expected("KHR-I021", 1, "sealed", "nobody"),
    "node-in-scratch": Expected("KHR-I022", 1, "sealed", NODE),
    "unpreserve-other-order": Expected("KHR-I024", 1, "sealed", "nobody"),
    "list-unpreserved-by-pages": Expected("KHR-I024", 1, "sealed", "nobody"),
    "freed-node-linked": Expected("KHR-I025", 1, "sealed", NODE),
    "unpreserve-of-anothers": Expected("KHR-I069", 1, "sealed", "block"),
    "shared-page-dropped": Expected("KHR-I041", 1, "sealed", "khorig/stores/blocks"),
    "late-preserve": Expected("KHR-I081", 2, "entry", NODE),
    "ap-preserves-late": Expected("KHR-I081", 2, "entry", NODE, cpus=2),
    "not-preserved-again": Expected("KHR-I069", 2, "sealed", "block"),
    "leaked-preservation": Expected("KHR-I070", 2, "sealed", "nobody"),
    # Writing the handover.
    "root-not-preserved": Expected("KHR-I005", 1, "sealed", "root"),
    "client-half-written": Expected("KHR-I007", 1, "sealed", "root"),
    "blob-not-preserved": Expected("KHR-I009", 1, "sealed", ""),
    "freed-fragment-linked": Expected("KHR-I009", 1, "sealed", ""),
    "fragment-misaligned": Expected("KHR-I033", 1, "sealed", "nobody"),
    "address-big-endian": Expected("KHR-I008", 1, "sealed", ""),
    "retry-serializes-nothing": Expected("KHR-I070", 1, "sealed", "nobody"),
    "blob-size-zero": Expected("KHR-I009", 1, "sealed", "root"),
    "blob-size-too-long": Expected("KHR-I009", 1, "sealed", "nobody"),
    "jump-counted-twice": Expected("KHR-I045", 1, "sealed", "kexec-metadata"),
    "list-cut-short": Expected("KHR-I036", 1, "sealed", "nobody"),
    "list-cycle": Expected("KHR-I036", 1, "sealed", "nobody"),
    "list-repeats-page": Expected("KHR-I040", 1, "sealed", "nobody"),
    "count-truncated": Expected("KHR-I036", 1, "sealed", "nobody"),
    # Loading the next kernel.
    "segment-outside-scratch": Expected("KHR-I110", 1, "sealed", PAGE),
    "write-after-seal": Expected("KHR-I080", 2, "entry", PAGE),
    "hang-before-jump": Expected("KHR-I105", 1, "", "", Verdict.HANG),
    # Leaving devices on.
    "bus-master-left-on": Expected("KHR-I123", 2, "entry", "PCI function 00:00.0"),
    "timer-left-armed": Expected("KHR-I123", 2, "entry", "PIT channel 0|virtual timer of CPU 0"),
    "interrupt-left-unmasked": Expected(
        "KHR-I123", 2, "entry", "local APIC of CPU 0|GIC distributor"
    ),
    "interrupt-controller-left-on": Expected(
        "KHR-I123", 2, "entry", "local APIC of CPU 0|GIC distributor"
    ),
    # Taking over.
    "tail-not-restored": Expected(
        "KHR-I086", 2, "restored", r"block \d+ \(order [1-9]\d*\) page [1-9]\d*"
    ),
    "block-not-restored": Expected("KHR-I086", 2, "restored", PAGE),
    "restored-as-pages": Expected("KHR-I086", 2, "restored", PAGE),
    "zeroed-when-restored": Expected("KHR-I082", 2, "restored", PAGE),
    "freed-when-restored": Expected("KHR-I082", 2, "restored", PAGE),
    "panic-after-restore": Expected("KHR-I102", 2, "", "", Verdict.CRASH),
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


@pytest.mark.parametrize("fault", EXPECTED)
@each_arch
def test_the_verdict_names_the_fault(rig: Rig, machine: str, fault: str) -> None:
    expected = EXPECTED[fault]
    limits = Limits(silence_s=0.2, interval_s=0.02)  # of the one that hangs
    result = rig.run(machine, "chain", limits=limits, fault=fault, smp=expected.cpus)
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


@pytest.mark.parametrize("cpus", sorted({expected.cpus for expected in EXPECTED.values()}))
@each_arch
def test_the_control_passes(rig: Rig, machine: str, cpus: int) -> None:
    rig.run(machine, "chain", smp=cpus).expect_pass()
