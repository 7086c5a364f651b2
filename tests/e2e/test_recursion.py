# SPDX-License-Identifier: BSD-3-Clause
"""State of any size is a tree of fragments, none over a page."""

from __future__ import annotations

import itertools

import pytest
from guest import GIB, ONE_OF_EACH, Guest, expect_pass

from khorig.run.result import RunResult


@ONE_OF_EACH
def test_1000_fragments(guest: Guest, machine: str) -> None:
    result = guest.run(machine, "recursion")
    expect_pass(result)
    assert result.statistics.fragments >= 1000
    assert result.statistics.fragment_depth >= 8


def _hand_over(guest: Guest, machine: str, fragments: int) -> RunResult:
    result = guest.run(
        machine,
        "recursion",
        generations=2,
        memory=2 * GIB,
        timeout_s=500.0,
        extra_options=(f"fragments={fragments}",),
    )
    expect_pass(result)
    # The root, the khorig fragment and the list of stores come on top.
    assert result.statistics.fragments == fragments + 3
    return result


def _finalize_cost(result: RunResult) -> int:
    """Instructions from when everything else is finished, in the first generation."""
    phases = [p for p in result.phases if p.name == "finalize" and p.generation == 1]
    (cost,) = (phase.instructions for phase in phases)
    return cost


@pytest.mark.parametrize("fragments", [5000, 100_000])
@ONE_OF_EACH
def test_finalizing_does_not_grow_with_the_state(
    guest: Guest, machine: str, fragments: int
) -> None:
    costs = {n: _finalize_cost(_hand_over(guest, machine, n)) for n in (1, 1000, fragments)}
    assert min(costs.values()) > 0, costs
    for fewer, more in itertools.combinations(costs, 2):
        assert costs[more] <= 1.05 * costs[fewer], costs
