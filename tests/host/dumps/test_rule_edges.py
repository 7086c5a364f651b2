# SPDX-License-Identifier: BSD-3-Clause
"""Where rules end: the last page, the second area, the far side of a limit."""

from __future__ import annotations

import dataclasses
from typing import Callable

import pytest
from dumps.bitmap_image import bitmap_dump
from dumps.sample import Sample, broken
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.kho.snapshot import NoHandover, find_snapshot
from khorig.mem.formats import RunFacts
from khorig.mem.memory import PhysRange
from khorig.rules.check import check, check_unreadable, is_broken
from khorig.rules.outcome import Status

Change = Callable[[Sample], object]


def allocator(first: int, others: int, last: int | None = None) -> Change:
    """What the page allocator has for the 16 pages of the reserved area."""

    def change(s: Sample) -> None:
        entries = [first] + [others] * 14 + [others if last is None else last]
        s.frames.update({s.reserved_area + n * PAGE: entry for n, entry in enumerate(entries)})

    return change


def chunk_of_memfd(s: Sample) -> int:
    return int.from_bytes(s.image.ram.read(s.memfd + 32, 8), "little")


EARLY: dict[str, tuple[set[str], Change]] = {
    "a root of more than a page": ({"KHR-I011"}, lambda s: setattr(s, "root_size", PAGE + 1)),
    "a root of exactly a page": (set(), lambda s: setattr(s, "root_size", PAGE)),
    "a block that was not restored": ({"KHR-I024"}, allocator(0x64, 0x7F)),
    "a block of another order": ({"KHR-I024"}, allocator(0x43, 0x5F)),
    "the last page of a block is free": ({"KHR-I024"}, allocator(0x44, 0x5F, 0x3F)),
    "the last page of a block begins one": ({"KHR-I024"}, allocator(0x44, 0x5F, 0x40)),
    "a chunk of a store is not preserved": (
        {"KHR-I041", "KHR-I069"},
        lambda s: s.image.blocks.remove((int.from_bytes(s.store[:8], "little"), 0)),
    ),
    "a chunk of a memfd is not preserved": (
        {"KHR-I041", "KHR-I069"},
        lambda s: s.image.blocks.remove((chunk_of_memfd(s), 0)),
    ),
    "flags that are known": (
        set(), lambda s: setattr(s, "store", s.store[:12] + b"\3\0" + s.store[14:])
    ),
    "a flag in the second byte": (
        {"KHR-I042"}, lambda s: setattr(s, "store", s.store[:12] + b"\1\1" + s.store[14:])
    ),
    "the array ends behind scratch": (
        {"KHR-I067"}, lambda s: setattr(s, "array", SCRATCH[0].end - 16)
    ),
    "the array lies in the second area": (
        set(), lambda s: setattr(s, "array", SCRATCH[1].end - 32)
    ),
    "the third area overlaps the first": (
        {"KHR-I064"}, lambda s: s.scratch.append(SCRATCH[0])
    ),
}  # fmt: skip


@pytest.mark.parametrize("ids, change", EARLY.values(), ids=list(EARLY))
def test_edges(ids: set[str], change: Change) -> None:
    s = Sample()
    change(s)
    found = broken(s.finish().dump())
    assert {id for id in found if id != "KHR-I070"} == ids


@pytest.mark.parametrize("at, wrong", [("sealed", True), ("restored", True), ("entry", False)])
def test_until_it_is_restored_a_block_waits(at: str, wrong: bool) -> None:
    s = Sample()
    allocator(0x64, 0x7F)(s)
    dump = s.finish().dump()
    assert dump.run is not None
    then = dataclasses.replace(dump, run=dataclasses.replace(dump.run, at=at))
    assert ("KHR-I024" in broken(then)) is wrong


def test_the_page_of_a_block_that_is_wrong_is_named() -> None:
    s = Sample()
    allocator(0x44, 0x5F, 0x3F)(s)
    [outcome] = [o for o in check(s.finish().snapshot()) if o.status is Status.FAILED]
    [violation] = outcome.violations
    assert violation.address == s.reserved_area + 15 * PAGE
    assert violation.owner == "memblock/mem0 page 15"
    assert "free tail (0x3f) in the frame table, expected allocated tail (0x5f)" in violation.text


def test_a_node_of_the_tracker_in_low_memory() -> None:
    s = Sample().finish()
    leaf, to = s.image.nodes[5], 0x80000
    s.image.ram.write(to, s.image.ram.read(leaf, PAGE))
    for node in s.image.nodes:
        for at in range(node, node + PAGE, 8):
            if s.image.ram.read_u64(at) == leaf:
                s.image.write_u64(at, to)
    assert {"KHR-I023"} <= broken(s.dump()).keys()
    arm64 = dataclasses.replace(s.dump(), arch="arm64")
    assert "KHR-I023" not in broken(arm64)


def test_the_count_of_jumps_is_that_of_the_sealed_root_alone() -> None:
    s = Sample().finish()

    def at(stop: str, generation: int, root: int | None) -> Status:
        run = RunFacts(generation, stop, root, None, SCRATCH)
        outcomes = check(find_snapshot(dataclasses.replace(s.dump(), run=run), s.image.root))
        [outcome] = [o for o in outcomes if o.rule.id == "KHR-I045"]
        return outcome.status

    assert at("sealed", 1, s.image.root) is Status.OK
    assert at("sealed", 2, s.image.root) is Status.FAILED
    assert at("restored", 2, s.image.root) is Status.ABSENT
    assert at("sealed", 2, s.image.root + PAGE) is not Status.FAILED


def test_the_first_area_may_not_reach_over_4_gib() -> None:
    for begin, size, wrong in (
        ((4 << 30) - (4 << 20), 8 << 20, True),
        (4 << 30, 4 << 20, True),
        ((4 << 30) - (4 << 20), 4 << 20, False),
    ):
        s = Sample()
        s.scratch.insert(0, PhysRange(begin, size))
        assert ("KHR-I066" in broken(s.finish().dump())) is wrong


def test_a_block_around_scratch_is_in_it() -> None:
    s = Sample()
    s.image.preserve(RAM.begin, 13)
    assert broken(s.finish().dump())["KHR-I021"] is Status.FAILED


def test_a_warning_breaks_nothing() -> None:
    outcomes = check(find_snapshot(bitmap_dump(512)))
    assert [o.status for o in outcomes].count(Status.WARNING) == 1
    assert not is_broken(outcomes)
    assert is_broken(check(find_snapshot(bitmap_dump(512, count=300))))


def test_every_page_that_is_wrong_is_a_violation() -> None:
    s = Sample()
    allocator(0x24, 0x3F)(s)
    [outcome] = [o for o in check(s.finish().snapshot()) if o.status is Status.FAILED]
    wrong = [violation.address for violation in outcome.violations]
    assert wrong == [s.reserved_area + n * PAGE for n in range(16)]


def test_pages_that_the_allocator_does_not_have_are_not_in_use() -> None:
    dump = Sample().finish().dump()
    assert dump.run is not None and dump.run.frame_table is not None
    short = (*dump.run.frame_table[:2], 4)
    run = dataclasses.replace(dump.run, frame_table=short)
    found = broken(dataclasses.replace(dump, run=run))
    assert {"KHR-I024", "KHR-I025"} <= found.keys()


def test_of_a_root_that_cannot_be_read_nothing_else_is_known() -> None:
    s = Sample().finish()
    s.image.ram.write(s.image.root, b"GARBAGE!")
    with pytest.raises(NoHandover) as caught:
        find_snapshot(s.dump())
    outcomes = check_unreadable(caught.value.candidates[0])
    assert [o.rule.id for o in outcomes if o.status is Status.FAILED] == ["KHR-I001"]
    assert {o.status for o in outcomes} == {Status.FAILED, Status.ABSENT}


def test_a_page_that_is_claimed_and_not_preserved_has_an_owner() -> None:
    s = Sample()
    s.image.blocks.remove((s.reserved_area, 4))
    [outcome] = [o for o in check(s.finish().snapshot()) if o.rule.id == "KHR-I047"]
    assert [violation.owner for violation in outcome.violations] == ["memblock/mem0"]
