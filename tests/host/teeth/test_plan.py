# SPDX-License-Identifier: BSD-3-Clause
"""Which pokes a run without damage leads to, and which are listed as out of reach."""

from __future__ import annotations

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import Poke
from khorig.guest.spec import RunSpec
from khorig.run.poke.place import Place, find_place, owner_at
from khorig.run.teeth.classes import CLASSES
from khorig.run.teeth.limits import LIMITS
from khorig.run.teeth.moment import Moment, moment_of
from khorig.run.teeth.plan import Attempt, Plan, make_plan

PAGE = 4096
LINUX = "linux-7.3"
KHORIG = "khorig"

KHORIG_RUN = KhorigRun("x86_64", "q35")


def chain(*kernels: str) -> ChainRun:
    return ChainRun("x86_64", "q35", kernels=kernels)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            KHORIG_RUN,
            {
                (1, "sealed"): Moment.KHORIG_SEALED,
                (2, "entry"): Moment.KHORIG_ENTRY,
                (2, "restored"): Moment.KHORIG_KEEPS,
                (2, "sealed"): Moment.KHORIG_SEALED,
                (3, "entry"): Moment.KHORIG_ENTRY,
            },
        ),
        (
            chain(LINUX, KHORIG, LINUX, LINUX),
            {
                (1, "restored"): Moment.LINUX_MADE,
                (1, "sealed"): Moment.LINUX_SEALED,
                (2, "entry"): Moment.KHORIG_ENTRY,
                (2, "restored"): Moment.KHORIG_RELAYS,
                (2, "sealed"): Moment.KHORIG_SEALED,
                (3, "restored"): Moment.LINUX_KEEPS,
                (3, "sealed"): Moment.LINUX_SEALED,
            },
        ),
        (
            chain(KHORIG, LINUX, KHORIG),
            {
                (1, "sealed"): Moment.KHORIG_SEALED,
                (2, "restored"): Moment.LINUX_KEEPS,
                (2, "sealed"): Moment.LINUX_SEALED,
                (3, "entry"): Moment.KHORIG_ENTRY,
            },
        ),
    ],
    ids=lambda value: value.what if isinstance(value, RunSpec) else "",
)
def test_stops_are_told_apart(spec: RunSpec, expected: dict[tuple[int, str], Moment]) -> None:
    found = {
        (generation, at): moment
        for generation in range(1, spec.generations + 1)
        for at in ("entry", "restored", "sealed")
        if (moment := moment_of(spec, generation, at)) is not None
    }
    assert found == expected


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("root", "root"),
        ("fragment /khorig/stores", "fragment"),
        ("radix node of level 0, prefix 0x12", "node"),
        ("kexec-metadata", "record"),
        ("block 17 (order 3) page 2", "block"),
        ("khorig/stores/generation-1 page 4", "store"),
        ("khorig/stores/blocks", "store"),
        ("khorig/stores/blocks chunk", "store-chunk"),
        ("khorig/stores/ledger chunk", "store-chunk"),
        ("khorig/stores/ledger page 1", "ledger"),
        ("khorig/archive page 9", "archive"),
        ("khorig/log page 1", "log"),
        ("memblock/reference page 1", "memblock"),
        ("kho_test chunk 0 (order 0) page 0", "kho_test-chunk"),
        ("kho_test array 0 (order 0) page 0", "kho_test-array"),
        ("kho_test folio 3 (order 2) page 1", "kho_test-folio"),
        ("LUO", "luo"),
        ("LUO sessions 0 (order 0) page 0", "luo-session"),
        ("LUO/khorig files 0 (order 0) page 0", "luo-file"),
        ("LUO shared state 0 (order 0) page 0", "luo-shared"),
        ("LUO/khorig/0x1 0 (order 0) page 0", "memfd"),
        ("LUO/khorig/0x1 chunk 0 (order 0) page 0", "memfd-chunk"),
        ("LUO/khorig/0x1 array 0 (order 0) page 0", "memfd-array"),
        ("LUO/khorig/0x1 folio 7 (order 0) page 0", "memfd-folio"),
        ("hand-off", "hand-off"),
        ("scratch array", "scratch-array"),
        ("firmware", "runtime-services"),
    ],
)
def test_an_owner_is_of_one_class(owner: str, name: str) -> None:
    assert [one.name for one in CLASSES.values() if one.owns(owner)] == [name]


def test_nobody_is_of_no_class() -> None:
    assert not any(one.owns(owner) for one in CLASSES.values() for owner in ("", "nobody"))


def pages(*owners: str, begin: int = 0x10_0000) -> list[Place]:
    return [Place(owner, begin + PAGE * number, PAGE) for number, owner in enumerate(owners)]


def pokes(plan: Plan) -> list[tuple[str, int, str]]:
    return [(a.owner_class, a.poke.generation, a.poke.stop) for a in plan.attempts]


def plan_of(spec: RunSpec, places: dict[tuple[int, str], list[Place]]) -> Plan:
    return make_plan(spec, places, tuple(CLASSES))


def test_each_class_is_poked_once_where_it_owns_something_and_must_not_change() -> None:
    places = pages("root", "block 0 (order 0) page 0", "block 1 (order 0) page 0", "nobody")
    stops = {(1, "sealed"): places, (2, "entry"): places, (2, "restored"): places}
    plan = plan_of(KHORIG_RUN, {(1, "entry"): places, **stops})
    assert pokes(plan) == [
        ("root", 1, "sealed"),
        ("block", 1, "sealed"),
        ("root", 2, "entry"),
        ("block", 2, "entry"),
        ("block", 2, "restored"),
    ]
    assert plan.out_of_reach == ()
    for attempt in plan.attempts:
        assert attempt.poke.place == attempt.owner
        assert attempt.moved == frozenset()
        assert 0 <= attempt.poke.offset < PAGE
        assert attempt.spec.pokes == (attempt.poke,)


def test_the_seed_chooses_page_and_byte() -> None:
    places = {(1, "sealed"): pages(*(f"block {n} (order 0) page 0" for n in range(64)))}
    seeds = [KhorigRun("x86_64", "q35", seed=seed) for seed in (1, 2, 1)]
    first, second, again = (plan_of(spec, places).attempts[0].poke for spec in seeds)
    assert first == again != second


def test_pages_of_one_name_are_told_apart_by_the_offset() -> None:
    services = pages(*["firmware"] * 64)
    plan = plan_of(KHORIG_RUN, {(1, "sealed"): services})
    (attempt,) = plan.attempts
    address = find_place(services, "firmware", attempt.poke.offset)
    assert address is not None and address >= services[1].begin


def test_a_block_is_poked_by_its_number_only_where_that_is_the_same_each_time() -> None:
    folios = pages(*(f"kho_test folio {n} (order 0) page 0" for n in range(12)))
    for counted in (True, False):
        spec = ChainRun("x86_64", "q35", kernels=(LINUX, KHORIG), counted=counted)
        (attempt,) = plan_of(spec, {(1, "sealed"): folios}).attempts
        assert (attempt.poke.place == "kho_test folio") != counted
        address = find_place(folios, str(attempt.poke.place), attempt.poke.offset)
        assert address is not None
        assert owner_at(folios, address) == attempt.owner != folios[0].owner


def only(plan: Plan, owner_class: str, generation: int, at: str) -> Attempt:
    (attempt,) = [
        a
        for a in plan.attempts
        if (a.owner_class, a.poke.generation, a.poke.stop) == (owner_class, generation, at)
    ]
    return attempt


def test_what_a_jump_moves_may_be_named_where_it_comes_to() -> None:
    before = [Place("hand-off", 0x10_0010, 8), Place("scratch array", 0x10_0040, 64)]
    after = [Place("hand-off", 0x20_0010, 8), Place("scratch array", 0x20_0040, 64)]
    plan = plan_of(KHORIG_RUN, {(1, "sealed"): before, (2, "entry"): after})
    handoff = only(plan, "hand-off", 1, "sealed")
    assert handoff.moved == {0x20_0000}
    assert handoff.poke.offset < 8
    # The hand-off was read before khorig's first line of C++, the array not.
    assert pokes(plan)[2:] == [("scratch-array", 2, "entry")]


def test_what_linux_links_to_late_is_poked_by_address() -> None:
    folio = pages("LUO/s/0x1 folio 0 (order 0) page 0")
    spec = chain(LINUX, KHORIG, LINUX)
    plan = plan_of(spec, {(1, "restored"): [], (1, "sealed"): [], (2, "entry"): folio})
    for at in ("restored", "sealed"):
        attempt = only(plan, "memfd-folio", 1, at)
        assert attempt.poke == Poke(1, at, folio[0].begin, attempt.poke.offset)
        assert attempt.owner == folio[0].owner
    assert only(plan, "memfd-folio", 2, "entry").poke.place == folio[0].owner


def test_a_hand_off_that_is_not_found_before_the_jump_is_not_poked() -> None:
    handoff = [Place("hand-off", 0x10_0010, 8)]
    plan = plan_of(chain(LINUX, KHORIG), {(1, "sealed"): [], (2, "entry"): handoff})
    assert pokes(plan) == []


def beyond(plan: Plan) -> set[tuple[str, int, str]]:
    return {(b.owner_class, b.generation, b.stop) for b in plan.out_of_reach}


def test_before_a_linux_only_what_stays_is_poked() -> None:
    places = pages("root", "memblock/reference page 0", "kho_test folio 0 (order 0) page 0")
    for kernels in ((KHORIG, LINUX), (LINUX, LINUX)):
        plan = plan_of(chain(*kernels), {(1, "sealed"): places})
        assert pokes(plan) == [("memblock", 1, "sealed")]
        assert {("root", 1, "sealed"), ("kho_test-folio", 1, "sealed")} <= beyond(plan)
    assert ("luo-session", 1, "sealed") in beyond(plan)  # nobody sees it, but it is there


def test_before_khorig_only_what_linux_writes_late_is_out_of_reach() -> None:
    names = ("root", "LUO", "LUO sessions 0 (order 0) page 0", "kho_test array 0 (order 0) page 0")
    plan = plan_of(chain(LINUX, KHORIG), {(1, "sealed"): pages(*names)})
    assert pokes(plan) == [("root", 1, "sealed"), ("kho_test-array", 1, "sealed")]
    assert beyond(plan) == {("luo", 1, "sealed"), ("luo-session", 1, "sealed")}


def test_the_last_kernel_of_a_chain_has_no_next() -> None:
    plan = plan_of(chain(LINUX, KHORIG), {(2, "entry"): pages("root")})
    assert pokes(plan) == [("root", 2, "entry")]


def test_khorig_alone_has_no_limits() -> None:
    names = ("root", "LUO", "memblock/reference", "block 0 (order 0) page 0", "firmware")
    stops = [(g, at) for g in (1, 2, 3) for at in ("entry", "restored", "sealed")]
    plan = plan_of(KHORIG_RUN, {stop: pages(*names) for stop in stops})
    assert plan.out_of_reach == ()


def test_limits_name_classes_that_there_are() -> None:
    for limit in LIMITS:
        assert limit.classes <= set(CLASSES) and limit.why
