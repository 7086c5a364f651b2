# SPDX-License-Identifier: BSD-3-Clause
"""The judge of chains with Linux: what is compared across each jump, and a change for each rule."""

from __future__ import annotations

from typing import Callable

import pytest
from dumps.sample import ARRAY, SETUP_DATA
from verdict.fake_chain import KHORIG, LINUX, PLACES, FakeChain, khorig_seals, linux_jumps
from view.handover_image import PAGE

from khorig.guest.chain_run import ChainRun
from khorig.rules.plan import Plan
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal

_LATE = {"LUO sessions", "LUO files", "memfd"}  # written while Linux goes down
_GIVEN_BACK = {*_LATE, "memfd array", "kho_test array", "kho_test folio"}
_HARMLESS = {"free page"}


# ---- Linux to khorig


_WRITTEN_ONCE = {"fragment", "memblock", "kho_test array", "kho_test folio"}


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_while_user_space_of_a_linux_runs(name: str) -> None:
    chain = FakeChain(LINUX, KHORIG)
    chain.boots(1)
    assert chain.restores(1) == set()
    chain.flip(PLACES[name](chain))
    found = chain.seals(1)
    assert (temporal.PAGES_HANDED_ON in found) == (name in _WRITTEN_ONCE), found


def test_from_linux_to_khorig() -> None:
    chain = linux_jumps()
    assert chain.enters(2) == set(), chain.findings
    assert chain.restores(2) == set(), chain.findings
    assert chain.judge.finish(33) == []
    (jump,) = chain.judge.statistics.jumps
    assert (jump.first, jump.last) == (1, 1) and jump.pages > 40


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_between_a_linux_and_khorig(name: str) -> None:
    chain = linux_jumps()
    chain.flip(PLACES[name](chain))
    rules = chain.enters(2)
    if name == "node":
        assert temporal.TRACKER_ACROSS_JUMP in rules
    elif name in _LATE | _HARMLESS:
        assert rules == set()
    else:
        assert temporal.PAGES_ACROSS_JUMP in rules


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_before_khorig_has_restored(name: str) -> None:
    chain = linux_jumps()
    assert chain.enters(2) == set()
    chain.flip(PLACES[name](chain))
    free = name in {"node", *_HARMLESS}  # nodes are free once the tree is walked
    assert chain.restores(2) == (set() if free else {temporal.PAGES_UNTIL_RESTORED})


def test_what_arrives_from_a_linux_is_held_to_the_static_rules() -> None:
    chain = linux_jumps()
    chain.image.write_u64(chain.sample.sessions + 16 + 72, 2)  # serialized late, and wrong
    assert chain.enters(2) == {"KHR-I053"}


# ---- while it is restored


@pytest.mark.parametrize("name", PLACES)
def test_a_kernel_that_dies_while_it_restores(name: str) -> None:
    chain = linux_jumps()
    assert chain.enters(2) == set()
    chain.flip(PLACES[name](chain))
    expected = {"node": {temporal.TRACKER_ACROSS_JUMP}, "free page": set()}
    assert chain.trouble() == expected.get(name, {temporal.PAGES_UNTIL_RESTORED})


@pytest.mark.parametrize(
    "address", [*(SETUP_DATA + offset for offset in (16, 24, 32, 40)), ARRAY, ARRAY + 24]
)
def test_what_names_the_handover_is_overwritten(address: int) -> None:
    chain = linux_jumps()
    assert chain.enters(2) == set()
    assert chain.trouble() == set()
    chain = linux_jumps()
    assert chain.enters(2) == set()
    chain.flip(address)
    assert chain.trouble() == {temporal.HANDOFF}


def test_after_all_is_restored_a_kernel_may_write() -> None:
    chain = linux_jumps()
    assert chain.enters(2) == chain.restores(2) == set()
    chain.flip(PLACES["memblock"](chain))
    assert chain.trouble() == set()


# ---- Linux to Linux


def test_from_linux_to_linux() -> None:
    chain = linux_jumps(LINUX, LINUX)
    chain.boots(2)
    assert chain.restores(2) == set(), chain.findings
    assert chain.judge.finish(33) == []
    assert chain.judge.statistics.jumps[0].pages > 20


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_between_two_linuxes(name: str) -> None:
    chain = linux_jumps(LINUX, LINUX)
    chain.boots(2)
    chain.flip(PLACES[name](chain))
    free = name in {"node", *_GIVEN_BACK, *_HARMLESS}
    assert chain.restores(2) == (set() if free else {temporal.PAGES_UNDER_LINUX})


def test_trouble_in_a_linux_is_explained_until_its_user_space_runs() -> None:
    chain = linux_jumps(LINUX, LINUX)
    chain.boots(2)
    chain.flip(PLACES["memblock"](chain))
    assert chain.trouble() == {temporal.PAGES_UNDER_LINUX}
    chain = linux_jumps(LINUX, LINUX)
    chain.boots(2)
    assert chain.restores(2) == set()
    chain.flip(PLACES["memblock"](chain))
    assert chain.trouble() == set()


# ---- khorig to Linux, and in between


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_changes_between_khorig_and_a_linux(name: str) -> None:
    chain = khorig_seals(KHORIG, LINUX)
    chain.boots(2)
    chain.flip(PLACES[name](chain))
    free = name in {"node", *_GIVEN_BACK, *_HARMLESS}
    assert chain.restores(2) == (set() if free else {temporal.PAGES_UNDER_LINUX})


def relay() -> FakeChain:
    """Linux, khorig, Linux: khorig has restored and is about to hand on."""
    chain = linux_jumps(LINUX, KHORIG, LINUX)
    assert chain.enters(2) == chain.restores(2) == set()
    return chain


def test_a_kernel_in_between_hands_on_what_came() -> None:
    chain = relay()
    assert chain.seals(2) == set(), chain.findings
    chain.boots(3)
    assert chain.restores(3) == set()
    assert chain.judge.finish(33) == []
    assert [(jump.first, jump.last) for jump in chain.judge.statistics.jumps] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("name", PLACES)
def test_a_byte_that_a_kernel_in_between_changes(name: str) -> None:
    chain = relay()
    chain.flip(PLACES[name](chain))
    rules = chain.seals(2)
    own = name in {"root", "node", *_HARMLESS}
    assert (temporal.PAGES_RELAYED in rules) is not own


def moved(chain: FakeChain) -> None:
    page = chain.image.preserved_page(chain.image.ram.read(chain.sample.luo, PAGE))
    chain.image.clients["LUO"] = chain.image.link(page, 32)


def shortened(chain: FakeChain) -> None:
    chain.image.clients["LUO"] = chain.image.link(chain.sample.luo, 31)


def dropped(chain: FakeChain) -> None:
    del chain.image.clients["kho_test"]


def split(chain: FakeChain) -> None:
    at, order = chain.sample.test_folios[1]
    chain.image.blocks.remove((at, order))
    for half in (at, at + (PAGE << order - 1)):
        chain.image.preserve(half, order - 1)


def forgotten(chain: FakeChain) -> None:
    chain.image.blocks.remove((chain.sample.folios[1][0], 0))


@pytest.mark.parametrize(
    "change, rule",
    [
        (moved, temporal.SUBTREES_RELAYED),
        (shortened, temporal.SUBTREES_RELAYED),
        (dropped, temporal.SUBTREES_RELAYED),
        (split, temporal.BLOCKS_RELAYED),
        (forgotten, temporal.BLOCKS_RELAYED),
    ],
)
def test_a_kernel_in_between_loses_something(
    change: Callable[[FakeChain], None], rule: str
) -> None:
    chain = relay()
    change(chain)
    chain.image.finish()
    chain.sample.write_frames()
    assert rule in chain.seals(2)


def test_each_kernel_is_compared_with_the_one_before_it() -> None:
    """Nothing of what generation 1 sealed is held against generation 3."""
    chain = FakeChain(KHORIG, KHORIG, KHORIG)
    chain.boots(1)
    assert chain.stops("entry", 1) == chain.seals(1) == set()
    assert chain.enters(2) == set()
    chain.flip(PLACES["log"](chain))
    assert chain.enters(3) == set()
    named = {(f.rule, f.generation) for f in chain.judge.finish(33)}
    assert (temporal.PAGES_ACROSS_JUMP, 3) not in named
    assert any("no pages compared across the jump from generation 2 to 3" in f.what
               for f in chain.judge.finish(33))  # fmt: skip


def test_a_khorig_in_a_chain_is_no_linux() -> None:
    chain = khorig_seals(KHORIG, KHORIG)
    assert chain.enters(2) == set(), chain.findings
    chain.flip(PLACES["node"](chain))
    assert chain.restores(2) == set()
    assert chain.judge.finish(33) == []


# ---- what is due


_LINUX = {"KHR-I001", "KHR-I013", "KHR-I019"}  # of the static rules, as samples
_LINUX_SEALED = {*_LINUX, temporal.PAGES_HANDED_ON}
_OWN = {
    protocol.SEGMENTS,
    protocol.TRANSITION,
    protocol.RAM_USED,
    *("KHR-I001", "KHR-I013", "KHR-I019", "KHR-I024"),
}
_RELAYED = {temporal.SUBTREES_RELAYED, temporal.BLOCKS_RELAYED, temporal.PAGES_RELAYED}
_UNDER_LINUX = {temporal.PAGES_UNDER_LINUX}
_JUMP = {
    temporal.PAGES_ACROSS_JUMP, temporal.TRACKER_ACROSS_JUMP, temporal.HANDOFF,
    protocol.DEVICES_OFF,
}  # fmt: skip
_ALL = _LINUX | _OWN | _RELAYED | _JUMP | {
    temporal.PAGES_UNTIL_RESTORED, temporal.PAGES_UNDER_LINUX, protocol.CPUS_PARKED,
    protocol.LEDGER, temporal.PAGES_HANDED_ON,
}  # fmt: skip
Due = dict[tuple[int, str], set[str]]


@pytest.mark.parametrize(
    "kernels, refusals, due",
    [
        (
            (LINUX, KHORIG),
            {},
            {
                (1, "sealed"): _LINUX_SEALED,
                (2, "entry"): {temporal.PAGES_ACROSS_JUMP, *_LINUX},
                (2, "restored"): {temporal.PAGES_UNTIL_RESTORED},
            },
        ),
        ((LINUX, LINUX), {}, {(1, "sealed"): _LINUX_SEALED, (2, "restored"): _UNDER_LINUX}),
        ((KHORIG, LINUX), {}, {(1, "sealed"): _OWN, (2, "restored"): _UNDER_LINUX}),
        (
            (LINUX, KHORIG, LINUX),
            {},
            {
                (1, "sealed"): _LINUX_SEALED,
                (2, "entry"): {temporal.PAGES_ACROSS_JUMP, *_LINUX},
                (2, "restored"): {temporal.PAGES_UNTIL_RESTORED},
                (2, "sealed"): _OWN | _RELAYED,
                (3, "restored"): _UNDER_LINUX,
            },
        ),
        (
            (KHORIG, KHORIG),
            {},
            {
                (1, "sealed"): _OWN,
                (2, "entry"): _JUMP,
                (2, "restored"): {temporal.PAGES_UNTIL_RESTORED},
            },
        ),
        ((LINUX, KHORIG), {2: "fdt-magic"}, {(2, "entry"): {temporal.PAGES_ACROSS_JUMP}}),
        (
            (KHORIG, KHORIG),
            {2: "fdt-magic"},
            {(1, "sealed"): _OWN, (2, "entry"): _JUMP - {temporal.HANDOFF}},
        ),
    ],
)  # fmt: skip
def test_what_is_due_in_a_chain(
    kernels: tuple[str, ...], refusals: dict[int, str], due: Due
) -> None:
    spec = ChainRun("x86_64", "q35", kernels=kernels, smp=2, expected_refusals=refusals)
    plan, found = Plan(spec), {}
    for generation in range(1, spec.generations + 1):
        for at in ("entry", "refused", "restored", "sealed"):
            if rules := set(plan.due(generation, at)) & _ALL:
                found[generation, at] = rules
    assert found == due


def test_nothing_is_due_where_nobody_asked_to_stop() -> None:
    spec = ChainRun("x86_64", "q35", kernels=(KHORIG, KHORIG), stops=("entry",))
    plan = Plan(spec)
    for at in ("entry", "restored", "sealed"):
        assert plan.due(1, at) == plan.due(2, at) == ()
