# SPDX-License-Identifier: BSD-3-Clause
"""Owners of pages as intervals, against a model that has one entry per page."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.kho.blocks import Blocks
from khorig.kho.owners import Claims, Owners

Runs = list[tuple[int, int]]

_FRAMES = 64


def settled(blocks: Runs, claims: list[tuple[str, Runs]]) -> Owners:
    """`blocks` as (frame, order), each claim's runs as (frame, pages)."""
    collected = Claims()
    for owner, runs in claims:
        table = np.array(runs, dtype=np.int64).reshape(-1, 2)
        collected.claim(table[:, 0].copy(), table[:, 1].copy(), owner)
    return collected.settle(Blocks.of(blocks))


def modelled(blocks: Runs, claims: list[tuple[str, Runs]]) -> dict[int, tuple[str, int]]:
    """(owner, offset) of each preserved page that has one."""
    preserved = {frame + i for frame, order in blocks for i in range(1 << order)}
    found: dict[int, tuple[str, int]] = {}
    for owner, runs in claims:
        offset = 0
        for first, count in runs:
            for page in range(first, first + count):
                if page not in preserved:
                    break
                found.setdefault(page, (owner, offset + page - first))
            offset += count
    for frame, order in blocks:
        if frame in found:
            owner, _ = found[frame]
            for page in range(frame, frame + (1 << order)):
                if page not in found:
                    found[page] = (owner, -1)
    return found


@st.composite
def disjoint_blocks(draw: st.DrawFn) -> Runs:
    blocks, at = [], 0
    while at < _FRAMES:
        order = draw(st.integers(0, 3))
        at = -(-at >> order) << order
        if draw(st.booleans()):
            blocks.append((at, order))
        at += 1 << order
    return blocks


runs_of_claims = st.lists(st.tuples(st.integers(0, _FRAMES + 4), st.integers(1, 9)), max_size=4)


@settings(max_examples=400, deadline=None)
@given(disjoint_blocks(), st.lists(runs_of_claims, max_size=5))
def test_every_page_is_as_in_the_model(blocks: Runs, lists: list[Runs]) -> None:
    claims = [(f"c{number}", runs) for number, runs in enumerate(lists)]
    owners = settled(blocks, claims)
    model = modelled(blocks, claims)
    preserved = sorted(frame + i for frame, order in blocks for i in range(1 << order))
    assert owners.frames.tolist() == preserved
    assert owners.page_count == len(preserved)
    for page in range(_FRAMES + 16):
        expected = model.get(page, ("nobody", 0))[0] if page in set(preserved) else ""
        assert owners.owner(page) == expected, page
    for name, _ in claims:
        mine = sorted(page for page, (owner, _) in model.items() if owner == name)
        assert owners.pages_of(name).tolist() == mine
        numbers = owners.ids_of(np.array(mine, dtype=np.int64)).tolist()
        assert {owners.names[number] for number in numbers} <= {name}


@settings(max_examples=200, deadline=None)
@given(disjoint_blocks(), st.lists(runs_of_claims, max_size=5))
def test_pages_with_two_owners_and_none(blocks: Runs, lists: list[Runs]) -> None:
    claims = [(f"c{number}", runs) for number, runs in enumerate(lists)]
    owners = settled(blocks, claims)
    preserved = {frame + i for frame, order in blocks for i in range(1 << order)}
    strays = {
        name
        for name, runs in claims
        if any(page not in preserved for at, n in runs for page in range(at, at + n))
    }
    assert {stray.owner for stray in owners.strays} == strays
    assert all(stray.frame not in preserved for stray in owners.strays)
    named = {c.frame: (c.first.split()[0], c.second) for c in owners.clashes}
    for frame, (first, second) in named.items():
        assert owners.owner(frame) == first
        assert frame in preserved and int(first[1:]) <= int(second[1:])
    begins, ends = owners.unowned
    lost = {page for a, b in zip(begins.tolist(), ends.tolist()) for page in range(a, b)}
    assert lost == {page for page in preserved if owners.owner(page) == "nobody"}


def test_the_first_claim_keeps_a_page_and_the_clash_names_both() -> None:
    owners = settled([(8, 2), (16, 0)], [("a", [(8, 2)]), ("b", [(9, 3)]), ("c", [(9, 1)])])
    assert [owners.name(page) for page in (8, 9, 10, 11, 16)] == [
        "a page 0", "a page 1", "b page 1", "b page 2", "nobody",
    ]  # fmt: skip
    assert [(c.frame, c.first, c.second) for c in owners.clashes] == [
        (9, "a page 1", "b"), (9, "a page 1", "c"),
    ]  # fmt: skip


def test_the_rest_of_a_block_is_its_owners() -> None:
    owners = settled([(8, 3)], [("log", [(8, 5)])])
    assert owners.name(12) == "log page 4"
    assert owners.name(15) == "log, rest of its block"
    assert not len(owners.unowned[0])


def test_the_rest_of_a_block_is_described_as_its_first_page() -> None:
    claims = Claims()
    names = ["fragment /a", "fragment /b"]
    claims.claim_pages(np.array([8, 16], dtype=np.int64), "fragment", names.__getitem__)
    owners = claims.settle(Blocks.of([(8, 3), (16, 0)]))
    assert [owners.name(page) for page in (8, 9, 15, 16)] == [
        "fragment /a", "fragment /a, rest of its block", "fragment /a, rest of its block",
        "fragment /b",
    ]  # fmt: skip


def test_cost_follows_the_blocks_and_not_their_pages() -> None:
    blocks = [(number << 30, 30) for number in range(1, 64)]
    owners = settled(blocks, [("ram", [(frame, 1 << order) for frame, order in blocks])])
    assert owners.name((5 << 30) + 12345).startswith("ram page ")
    assert len(owners.begins) == 63 and owners.page_count == 63 << 30


@settings(max_examples=400, deadline=None)
@given(disjoint_blocks(), st.lists(runs_of_claims, max_size=5))
def test_a_page_is_found_by_what_it_was_located_as(blocks: Runs, lists: list[Runs]) -> None:
    """Also where two claims have one name, and in the rest of an owner's block."""
    claims = [(f"c{number % 2}", runs) for number, runs in enumerate(lists)]
    owners = settled(blocks, claims)
    located = {frame: owners.locate(frame) for frame in range(_FRAMES + 16)}
    for frame, page in located.items():
        assert (page is None) == (owners.owner(frame) in ("", "nobody"))
        if page is not None:
            assert page.owner == owners.owner(frame) and owners.find(page) == frame


def test_a_page_is_found_where_its_owner_lies_elsewhere() -> None:
    first = settled([(8, 2), (32, 0)], [("a", [(8, 2), (32, 1)])])
    again = settled([(16, 2), (40, 0)], [("b", [(40, 1)]), ("a", [(16, 2), (40, 1)])])
    places = [first.locate(frame) for frame in (8, 9, 10, 11)]
    assert [place and again.find(place) for place in places] == [16, 17, 18, 19]
    assert str(places[3]) == "a page 0 and 3 beyond"
    taken = first.locate(32)  # of another owner there
    assert taken and again.find(taken) is None
