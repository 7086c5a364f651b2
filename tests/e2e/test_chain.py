# SPDX-License-Identifier: BSD-3-Clause
"""Many generations, and neither a page nor a CPU lost."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch


@pytest.mark.parametrize("generations", [5, 100])
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("scenario", ["chain", "storm"])
@each_arch
def test_no_page_and_no_cpu_is_lost(
    rig: Rig, machine: str, scenario: str, cpus: int, generations: int
) -> None:
    result = rig.run(machine, scenario, smp=cpus, generations=generations, timeout_s=300.0)
    result.expect_pass()
    assert result.generations == generations
    online = [event["online"] for event in result.events("cpus")]
    assert online == ([cpus] * generations if cpus > 1 else [])
    free = {event["gen"]: event["free_pages"] for event in result.events("memory")}
    taken_back = {event["gen"]: event["pages"] for event in result.events("restored")}
    assert len(free) == generations
    # What is handed over may be split into tracker nodes and fragments differently, but what was
    # preserved and what is free make up the same memory in every generation after the first.
    later = range(2, generations + 1)
    assert {free[g] + taken_back[g] for g in later} == {free[2] + taken_back[2]}
    if scenario == "chain":
        assert free[generations] == free[2]
