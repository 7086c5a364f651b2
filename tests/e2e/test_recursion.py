# SPDX-License-Identifier: BSD-3-Clause
"""State of any size is a tree of fragments, none over a page."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.pytest_plugin import each_arch

GIB = 1 << 30


@each_arch
def test_1000_fragments(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "recursion")
    result.expect_pass()
    assert result.statistics.fragments >= 1000
    assert result.statistics.fragment_depth >= 8


def _hand_over(rig: Rig, machine: str, fragments: int) -> RigResult:
    result = rig.run(
        machine,
        "recursion",
        generations=2,
        memory=2 * GIB,
        timeout_s=500.0,
        extra_options=(f"fragments={fragments}",),
    )
    result.expect_pass()
    # The root, the khorig fragment and the list of stores come on top.
    assert result.statistics.fragments == fragments + 3
    return result


def _finalize_cost(result: RigResult) -> int:
    """Instructions from when everything else is finished, in the first generation."""
    phases = [p for p in result.phases if p.name == "finalize" and p.generation == 1]
    (cost,) = (phase.instructions for phase in phases)
    return cost


@pytest.mark.parametrize("fragments", [5000, 100_000])
@each_arch
def test_finalizing_does_not_grow_with_the_state(rig: Rig, machine: str, fragments: int) -> None:
    costs = {n: _finalize_cost(_hand_over(rig, machine, n)) for n in (1, 1000, fragments)}
    assert min(costs.values()) > 0, costs
    # Where the allocator finds the page of the root makes some hundred instructions, up or down.
    for count in list(costs)[1:]:
        assert costs[count] <= 1.05 * max(costs[fewer] for fewer in costs if fewer < count), costs
