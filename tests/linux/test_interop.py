# SPDX-License-Identifier: BSD-3-Clause
"""The short one: Linux, khorig, Linux, once for each architecture."""

from __future__ import annotations

from peers import ONE_OF_EACH, Chains, expect_pass


@ONE_OF_EACH
def test_linux_takes_back_what_khorig_passed_on(chains: Chains, machine: str) -> None:
    result = chains.run(machine, ("linux-7.3", "khorig", "linux-7.3"))
    expect_pass(result)
    assert result.generations == 3
    assert result.statistics.pages_compared > 2000
