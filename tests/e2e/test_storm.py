# SPDX-License-Identifier: BSD-3-Clause
"""All CPUs serialize at the same time; what comes of it is what the seed says."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict


@pytest.mark.parametrize("cpus", [1, 2, 4, 8])
@pytest.mark.parametrize("machine", ["q35", "microvm", "virt"])
def test_the_tracker_equals_the_model(rig: Rig, machine: str, cpus: int) -> None:
    result = rig.run(machine, "storm", smp=cpus)
    result.expect_pass()
    # Root, top, list of stores, the storm's own, and for each CPU its own with eight slots.
    assert result.statistics.fragments == 4 + 9 * cpus


@pytest.mark.parametrize("seed", [1, 2])
@each_arch
def test_on_threads_of_the_host(rig: Rig, machine: str, seed: int) -> None:
    """Where instructions are not counted, each CPU is a thread, and the races are real."""
    rig.run(machine, "storm", smp=4, seed=seed, counted=False, timeout_s=120.0).expect_pass()


@each_arch
def test_all_cpus_that_the_kernel_supports(rig: Rig, machine: str) -> None:
    options = ("operations=500",)
    rig.run(machine, "storm", smp=64, generations=2, extra_options=options).expect_pass()


@each_arch
def test_a_fragment_linked_too_early_is_found(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "storm", smp=4, fault="root-published-early")
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert "/khorig/storm/cpu1 missing, or linked before it was finished" in found.what
    assert (found.generation, found.stop) == (1, "sealed")


@each_arch
def test_a_lost_update_is_found(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "storm", smp=4, fault="lost-tracker-update")
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert "is preserved, expected unpreserved: lost tracker update" in found.what
    assert (found.generation, found.stop) == (1, "sealed")


@each_arch
def test_the_same_seed_gives_the_same_run(rig: Rig, machine: str) -> None:
    first, again = (rig.run(machine, "storm", smp=4, generations=2) for _ in range(2))
    roots = [result.events("segments") for result in (first, again)]
    assert [event["list"] for event in roots[0]] == [event["list"] for event in roots[1]]
