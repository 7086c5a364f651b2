# SPDX-License-Identifier: BSD-3-Clause
"""State of any size is a tree of fragments, none over a page."""

from __future__ import annotations

from guest import ONE_OF_EACH, Guest, expect_pass


@ONE_OF_EACH
def test_1000_fragments(guest: Guest, machine: str) -> None:
    result = guest.run(machine, "recursion")
    expect_pass(result)
    assert result.statistics.fragments >= 1000
    assert result.statistics.fragment_depth >= 8


@ONE_OF_EACH
def test_as_many_fragments_as_asked_for(guest: Guest, machine: str) -> None:
    result = guest.run(
        machine, "recursion", generations=2, extra_options=("fragments=5000",), timeout_s=120.0
    )
    expect_pass(result)
    # The root, the khorig fragment and the list of stores come on top.
    assert result.statistics.fragments == 5003
