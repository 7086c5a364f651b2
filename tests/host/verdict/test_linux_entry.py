# SPDX-License-Identifier: BSD-3-Clause
"""The judge at the first instruction of a Linux, which the host sees by itself."""

from __future__ import annotations

import pytest
from verdict.fake_chain import KHORIG, LINUX, PLACES, FakeChain

from khorig.guest.chain_run import ChainRun
from khorig.rules.plan import Plan
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal

_LATE = {"LUO sessions", "LUO files", "memfd"}  # written while Linux goes down
_JUMPS = pytest.mark.parametrize("is_jump", [False, True])


def _linux(*kernels: str, is_jump: bool = False) -> FakeChain:
    """Up to `sealed` of a Linux."""
    chain = FakeChain(*(kernels or (LINUX, LINUX)), probed=True)
    chain.boots(1)
    assert chain.restores(1) == chain.seals(1, is_jump) == set(), chain.findings
    return chain


def _khorig() -> FakeChain:
    chain = FakeChain(KHORIG, LINUX, probed=True)
    chain.boots(1)
    assert chain.stops("entry", 1) == chain.seals(1) == set(), chain.findings
    return chain


@_JUMPS
def test_from_linux_to_linux_every_page_is_compared_at_the_entry(is_jump: bool) -> None:
    chain = _linux(is_jump=is_jump)
    assert chain.is_entered(2) == set(), chain.findings
    at_entry = chain.judge.statistics.jumps[0].pages
    chain.boots(2)
    assert chain.restores(2) == set(), chain.findings
    assert chain.judge.finish(33) == []
    assert chain.judge.statistics.jumps[0].pages == at_entry > 40


@_JUMPS
@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_between_sealed_and_the_entry(name: str, is_jump: bool) -> None:
    chain = _linux(is_jump=is_jump)
    chain.flip(PLACES[name](chain))
    rules = chain.is_entered(2)
    if name == "free page" or (name in _LATE and not is_jump):
        assert rules == set(), chain.findings
    elif name == "node":
        assert temporal.TRACKER_ACROSS_JUMP in rules
    else:
        assert temporal.PAGES_ACROSS_JUMP in rules
        assert chain.findings[0].generation == 2 and chain.findings[0].stop == "entry"


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_between_khorig_and_the_entry(name: str) -> None:
    chain = _khorig()
    chain.flip(PLACES[name](chain))
    expected = {"free page": set(), "node": {temporal.TRACKER_ACROSS_JUMP}}
    assert chain.is_entered(2) == expected.get(name, {temporal.PAGES_ACROSS_JUMP})


@pytest.mark.parametrize("name", sorted(_LATE))
def test_at_the_jump_to_khorig_nothing_is_late(name: str) -> None:
    chain = _linux(LINUX, KHORIG, is_jump=True)
    chain.flip(PLACES[name](chain))
    assert temporal.PAGES_ACROSS_JUMP in chain.enters(2)


def test_memory_that_a_linux_overwrites_before_it_dies_is_the_cause() -> None:
    chain = _linux()
    assert chain.is_entered(2) == set()
    assert chain.trouble() == set()
    chain.flip(PLACES["memblock"](chain))
    assert chain.trouble() == {temporal.PAGES_UNDER_LINUX}
    assert chain.findings[0].generation == 2


def test_memory_of_a_linux_that_went_on_cold_is_its_own() -> None:
    chain = _linux()
    assert chain.is_entered(2) == set()
    chain.boots(2)
    chain.says("refused", 2, cause="not-supported")
    chain.flip(PLACES["memblock"](chain))
    assert chain.trouble() == set()


def test_an_entry_that_does_not_come_is_missed() -> None:
    chain = _linux()
    chain.boots(2)
    assert chain.restores(2) == set()
    missing = chain.judge.finish(33)
    assert {finding.rule for finding in missing} == {protocol.EVALUATED}
    assert {finding.stop for finding in missing} == {"entry"}


def test_what_arrives_at_the_entry_is_held_to_the_static_rules() -> None:
    chain = _linux()
    chain.image.write_u64(chain.sample.sessions + 16 + 72, 2)  # serialized late, and wrong
    assert chain.is_entered(2) == {"KHR-I053"}


def test_a_linux_that_is_to_refuse_is_compared_all_the_same() -> None:
    kernels, refusals = (KHORIG, LINUX), {2: "fdt-structure"}
    for probed in (False, True):
        spec = ChainRun("x86_64", "q35", kernels=kernels, expected_refusals=refusals, probed=probed)
        assert Plan(spec).is_compared(1) == probed
        assert (temporal.PAGES_ACROSS_JUMP in Plan(spec).due(2, "entry")) == probed


def test_the_command_line_of_a_linux_names_no_stop_that_it_does_not_make() -> None:
    spec = ChainRun("x86_64", "q35", kernels=(LINUX, LINUX), probed=True)
    assert spec.stops_of(1) == ("sealed", "restored")
    assert spec.stops_of(2) == ("sealed", "entry", "restored")
    assert "khorig.stops=sealed,restored" in spec.command_line(2).split()
