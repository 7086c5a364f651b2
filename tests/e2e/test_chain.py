# SPDX-License-Identifier: BSD-3-Clause
"""A hundred generations, and not a page lost."""

from __future__ import annotations

from guest import ONE_OF_EACH, Guest, events, expect_pass

GENERATIONS = 100


@ONE_OF_EACH
def test_no_page_is_lost_in_100_generations(guest: Guest, machine: str) -> None:
    result = guest.run(machine, "chain", generations=GENERATIONS, timeout_s=180.0)
    expect_pass(result)
    assert result.generations == GENERATIONS
    free = {event["gen"]: event["free_pages"] for event in events(result, "memory")}
    taken_back = {event["gen"]: event["pages"] for event in events(result, "restored")}
    assert len(free) == GENERATIONS
    # What is handed over may be split into tracker nodes and fragments differently, but what was
    # preserved and what is free make up the same memory in every generation after the first.
    assert {free[g] + taken_back[g] for g in range(2, GENERATIONS + 1)} == {free[2] + taken_back[2]}
    assert free[GENERATIONS] == free[2]
