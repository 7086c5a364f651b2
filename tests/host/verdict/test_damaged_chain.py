# SPDX-License-Identifier: BSD-3-Clause
"""The judge of chains where the host has damaged the handover on purpose."""

from __future__ import annotations

import pytest
from dumps.sample import ARRAY
from verdict.fake_chain import KHORIG, LINUX, PLACES, khorig_seals, linux_jumps

from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal


def test_a_handover_of_linux_that_is_to_be_refused_is_compared_as_well() -> None:
    chain = linux_jumps(refusals={2: "blob-size-missing"})
    assert chain.enters(2) == set()
    assert chain.judge.finish(33) == []
    assert chain.judge.statistics.jumps[0].pages > 40
    chain = linux_jumps(refusals={2: "blob-size-missing"})
    chain.flip(PLACES["memblock"](chain))
    assert chain.enters(2) == {temporal.PAGES_ACROSS_JUMP}
    chain = linux_jumps(refusals={2: "fdt-magic"})
    chain.flip(chain.image.root)
    assert chain.enters(2) == set(), "it cannot be read, which is what is to be refused"
    assert {finding.rule for finding in chain.judge.finish(33)} >= {protocol.COMPARED}


def test_what_the_host_has_damaged_is_compared_as_it_left_it() -> None:
    chain = khorig_seals(KHORIG, LINUX)
    chain.flip(PLACES["root"](chain))
    chain.is_tampered("sealed", 1)
    chain.boots(2)
    assert chain.trouble() == set()
    assert chain.restores(2) == set()
    chain = khorig_seals(KHORIG, LINUX)
    chain.flip(PLACES["root"](chain))
    chain.is_tampered("sealed", 1)
    chain.boots(2)
    chain.flip(PLACES["root"](chain))
    assert chain.restores(2) == {temporal.PAGES_UNDER_LINUX}


@pytest.mark.parametrize("name", ["root", "memblock", "node"])
def test_damage_at_entry_is_not_the_kernels(name: str) -> None:
    chain = linux_jumps()
    assert chain.enters(2) == set()
    chain.flip(PLACES[name](chain))
    chain.flip(ARRAY)
    chain.is_tampered("entry", 2)
    assert chain.trouble() == set()
    chain = linux_jumps()
    chain.flip(PLACES["memblock"](chain))
    chain.is_tampered("sealed", 1)
    assert chain.enters(2) == set()
