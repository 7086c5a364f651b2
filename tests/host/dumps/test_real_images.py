# SPDX-License-Identifier: BSD-3-Clause
"""The memory of real kernels keeps every rule, and does not once it is broken in one place."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from dumps.dump_files import WRITERS
from dumps.mutation import COUNT, SEED, mutate, rounds_of
from dumps.real_image import RealImage, take
from dumps.sample import broken
from view.handover_image import MIB, PAGE

from khorig.kho.boot.handoff_fields import Field, Handoff
from khorig.kho.clients.khorig import MEMBLOCK_PATH, METADATA_PATH
from khorig.kho.frame_table import CHUNK_HAS_BYTES, FrameState
from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats import open_dump
from khorig.mem.memory import read_bytes
from khorig.rules.check import check, is_broken
from khorig.rules.outcome import Status
from khorig.rules.registry import RULES
from khorig.rules.rule import Level
from khorig.rules.static.format_rules import FORMAT_RULES

_MACHINES = ("q35", "virt")
_ABSENT = {"kho-v1", "LUO", "memfd", "kho_test", "outside decoder", "live CPU"}
_ABSENT |= {rule.needs for rule in FORMAT_RULES} - {""}

Breaker = Callable[[RealImage], object]
BREAKERS: dict[str, Breaker] = {}
ALSO: dict[str, tuple[str, ...] | None] = {}  # what else must break, None for any


def breaks(id: str, *also: str, any_other: bool = False) -> Callable[[Breaker], Breaker]:
    ALSO[id] = None if any_other else also

    def keep(breaker: Breaker) -> Breaker:
        BREAKERS[id] = breaker
        return breaker

    return keep


def _root(r: RealImage) -> int:
    return r.clean.chosen.address


def _fragment(r: RealImage, path: str) -> int:
    found = r.clean.handover.fragment(path)
    assert found
    return found.address


def _blob(r: RealImage, path: str) -> int:
    found = r.clean.handover.blob(path)
    assert found
    return found.blob.begin


def _link(r: RealImage, page: int, old: int, new: int) -> None:
    """Points a link in the fragment in a page elsewhere."""
    r.replace(page, struct.pack("<Q", old), struct.pack("<Q", new))


def _free_page(r: RealImage) -> int:
    """Outside of scratch, in the part of memory that the leaf of the smallest blocks covers."""
    table, scratch = r.clean.frames, r.clean.scratch
    assert table is not None and scratch
    free = (int(frame) * PAGE for frame in table.frames_in(FrameState.FREE))
    return next(at for at in free if not any(area.begin <= at < area.end for area in scratch))


def _end(r: RealImage) -> int:
    return max(area.end for area in r.clean.memory.ranges)


def _store(r: RealImage, at: int, new: bytes) -> None:
    """Overwrites a part of the 16 bytes that describe the ledger."""
    v = r.clean.clients.stores["ledger"].vmalloc
    raw = struct.pack("<QIHH", v.first, v.total_pages, v.flags, v.order)
    r.replace(_fragment(r, "/khorig/stores"), raw, raw[:at] + new + raw[at + len(new) :])


def _first_chunk(r: RealImage) -> int:
    return r.clean.clients.stores["ledger"].vmalloc.first


def _first_of_order(r: RealImage, order: int) -> int:
    blocks = r.clean.handover.blocks
    return int(blocks.frames[np.flatnonzero(blocks.orders == order)[0]]) * PAGE


def _frame_entry(r: RealImage, address: int) -> int:
    run, table = r.clean.dump.run, r.clean.frames
    assert run and run.frame_table and table is not None
    chunk, offset = divmod(address // PAGE, PAGE)
    chunk -= table.first // PAGE
    assert table.chunks[chunk] == CHUNK_HAS_BYTES
    place = run.frame_table[0] + -(-len(table.chunks) // 8) * 8 + 8 * chunk
    (entries,) = struct.unpack("<Q", read_bytes(r.clean.memory, place, 8))
    return int(entries) + offset


breaks("KHR-I001")(lambda r: r.write(_root(r), b"GARBAGE!"))
breaks("KHR-I002")(lambda r: r.write(_root(r) + 4, struct.pack(">I", 2 * PAGE)))
breaks("KHR-I003")(lambda r: r.replace(_root(r), b"kho-v4\0", b"kho-v9\0"))


@breaks("KHR-I004", any_other=True)
def _no_map(r: RealImage) -> None:
    r.replace(_root(r), struct.pack("<Q", r.clean.handover.tree.root), bytes(8))


breaks("KHR-I005")(lambda r: r.bit(_root(r), 0, False))


@breaks("KHR-I007", any_other=True)
def _no_size(r: RealImage) -> None:
    r.replace(_root(r), b"blob-size\0", b"blob-seize"[:9] + b"\0")


@breaks("KHR-I008", any_other=True)
def _client_outside(r: RealImage) -> None:
    _link(r, _fragment(r, "/khorig"), _blob(r, "/khorig/archive"), _end(r))


breaks("KHR-I009", "KHR-I069")(lambda r: r.bit(_blob(r, METADATA_PATH), 0, False))


@breaks("KHR-I010", any_other=True)
def _twins(r: RealImage) -> None:
    r.replace(_fragment(r, "/khorig/stores"), b"ledger\0", b"blocks\0")


breaks("KHR-I013")(lambda r: r.word(r.empty_slot(), _root(r) + 8))
breaks("KHR-I014")(lambda r: r.word(r.empty_slot(), _end(r)))
breaks("KHR-I015")(lambda r: r.word(r.empty_slot(), r.clean.handover.tree.nodes[1].address))
breaks("KHR-I017")(lambda r: r.bit(r.clean.handover.tree.nodes[-1].address, 0, True))


def _leaf(r: RealImage) -> int:
    return next(node.address for node in r.clean.handover.tree.nodes if node.level == 0)


breaks("KHR-I018", any_other=True)(lambda r: r.write(_leaf(r), b"\xff" * PAGE))
breaks("KHR-I019")(lambda r: r.bit(_end(r), 0, True))
breaks("KHR-I020")(lambda r: r.bit(_first_of_order(r, 2) + PAGE, 0, True))


def _scratch(r: RealImage) -> int:
    assert r.clean.scratch
    return r.clean.scratch[0].begin


breaks("KHR-I021", "KHR-I024")(lambda r: r.bit(_scratch(r), 0, True))


@breaks("KHR-I022", "KHR-I025")
def _node_in_scratch(r: RealImage) -> None:
    leaf, to = _leaf(r), _scratch(r)
    r.write(to, r.read(leaf, PAGE))
    for node in r.clean.handover.tree.nodes:
        content = r.read(node.address, PAGE)
        if node.level == 1 and struct.pack("<Q", leaf) in content:
            r.replace(node.address, struct.pack("<Q", leaf), struct.pack("<Q", to))


breaks("KHR-I024")(lambda r: r.write(_frame_entry(r, _blob(r, METADATA_PATH)), b"\x20"))
breaks("KHR-I025")(lambda r: r.write(_frame_entry(r, _leaf(r)), b"\x20"))
breaks("KHR-I029", any_other=True)(lambda r: r.write(_fragment(r, "/khorig") + 56, b"\xff" * 64))


@breaks("KHR-I030", any_other=True)
def _fragment_too_long(r: RealImage) -> None:
    r.write(_fragment(r, "/khorig") + 4, struct.pack(">I", PAGE + 8))


@breaks("KHR-I031", any_other=True)
def _fragment_twice(r: RealImage) -> None:
    _link(r, _root(r), _fragment(r, MEMBLOCK_PATH), _fragment(r, "/khorig"))


@breaks("KHR-I033", any_other=True)
def _fragment_unaligned(r: RealImage) -> None:
    stores = _fragment(r, "/khorig/stores")
    r.write(stores + 4, r.read(stores, PAGE - 4))
    _link(r, _fragment(r, "/khorig"), stores, stores + 4)


@breaks("KHR-I034", any_other=True)
def _no_terminator(r: RealImage) -> None:
    r.replace(_fragment(r, "/khorig/stores"), b"khorig-stores-v1\0", b"khorig-stores-v1x")


@breaks("KHR-I035", any_other=True)
def _another_kind(r: RealImage) -> None:
    r.replace(_fragment(r, MEMBLOCK_PATH), b"memblock-v1\0", b"memblock-v9\0")


breaks("KHR-I036", any_other=True)(lambda r: _store(r, 8, struct.pack("<I", 99)))
breaks("KHR-I037", any_other=True)(lambda r: _store(r, 14, struct.pack("<H", 60)))


def _entry(r: RealImage) -> int:
    """The first block of the chunk."""
    return int.from_bytes(r.read(_first_chunk(r) + 8, 8), "little")


breaks("KHR-I038", any_other=True)(lambda r: r.word(_first_chunk(r) + 8, _entry(r) + 8))
breaks("KHR-I039", any_other=True)(lambda r: r.word(_first_chunk(r) + 8, _end(r)))


@breaks("KHR-I040", any_other=True)
def _block_twice(r: RealImage) -> None:
    r.write(_first_chunk(r) + 16, r.read(_first_chunk(r) + 8, 8))


breaks("KHR-I041", "KHR-I069")(lambda r: r.bit(_entry(r), 0, False))
breaks("KHR-I042")(lambda r: _store(r, 12, b"\x08"))
breaks("KHR-I043")(lambda r: r.write(_blob(r, METADATA_PATH), b"\x02"))
breaks("KHR-I044")(lambda r: r.write(_blob(r, METADATA_PATH) + 4, b"r" * 65))
breaks("KHR-I045")(lambda r: r.write(_blob(r, METADATA_PATH) + 69, b"\x07"))


@breaks("KHR-I046", any_other=True)
def _no_start(r: RealImage) -> None:
    r.replace(_fragment(r, MEMBLOCK_PATH), b"start\0", b"stark\0")


@breaks("KHR-I047", any_other=True)
def _reserved_not_preserved(r: RealImage) -> None:
    area = r.clean.clients.reserved[0].area
    blocks = r.clean.handover.blocks
    [at] = np.flatnonzero(blocks.frames == area.begin // PAGE)
    r.bit(area.begin, int(blocks.orders[at]), False)


@breaks("KHR-I048", any_other=True)
def _too_large(r: RealImage) -> None:
    store = r.clean.clients.stores["blocks"]
    pages = struct.pack("<Q", store.size)
    r.replace(_fragment(r, "/khorig/stores"), pages, struct.pack("<Q", store.size + MIB))


breaks("KHR-I049")(lambda r: r.write(_blob(r, "/khorig/log"), b"no magic"))


@breaks("KHR-I068", any_other=True)
def _two_owners(r: RealImage) -> None:
    _link(r, _root(r), _blob(r, METADATA_PATH), _blob(r, "/khorig/log"))


def _handoff(r: RealImage) -> Handoff:
    assert r.clean.handoff
    return r.clean.handoff


def _set(r: RealImage, field: Field, value: int) -> None:
    """Changes a number in what one kernel tells the next."""
    r.write(field.address, field.encode(value))


def _areas(r: RealImage, change: Callable[[list[list[int]]], object]) -> None:
    """Writes the scratch array, which gets into its place with the jump, with something changed."""
    r.write(_handoff(r).scratch_array.begin, _array(r, change))


def _array(r: RealImage, change: Callable[[list[list[int]]], object] = lambda areas: None) -> bytes:
    assert r.clean.scratch
    areas = [[area.begin, area.size] for area in r.clean.scratch]
    change(areas)
    return b"".join(struct.pack("<QQ", *area) for area in areas)


@breaks("KHR-I065", any_other=True)
def _no_scratch(r: RealImage) -> None:
    def empty(areas: list[list[int]]) -> None:
        for area in areas:
            area[1] = 0

    _areas(r, empty)


@breaks("KHR-I067")
def _array_elsewhere(r: RealImage) -> None:
    page = _free_page(r)
    r.write(page, _array(r))
    _set(r, _handoff(r).scratch, page)


breaks("KHR-I011")(lambda r: _set(r, _handoff(r).root_size, 64))
breaks("KHR-I012")(lambda r: _set(r, _handoff(r).root, _free_page(r)))
breaks("KHR-I061")(lambda r: _set(r, _handoff(r).scratch_size, 17))
breaks("KHR-I062", any_other=True)(lambda r: _areas(r, lambda a: a[1].__setitem__(1, PAGE)))
breaks("KHR-I063", any_other=True)(lambda r: _areas(r, lambda a: a[1].__setitem__(0, _end(r))))
breaks("KHR-I064", any_other=True)(lambda r: _areas(r, lambda a: a.__setitem__(1, a[0])))
breaks("KHR-I066", any_other=True)(lambda r: _areas(r, lambda a: a[0].__setitem__(0, 8 << 30)))
breaks("KHR-I069")(lambda r: r.bit(_first_of_order(r, 3), 3, False))
breaks("KHR-I023", any_other=True)(lambda r: r.bit(0x90000, 0, True))
breaks("KHR-I070", "KHR-I024")(lambda r: r.bit(_free_page(r), 0, True))


@pytest.fixture(scope="module", params=_MACHINES)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RealImage:
    machine: str = request.param
    return take(machine, tmp_path_factory.mktemp(machine))


def test_a_kernel_leaves_nothing_that_does_not_hold(real: RealImage) -> None:
    outcomes = check(real.clean)
    wrong = [(o.rule.id, o.violations[:1]) for o in outcomes if o.violations]
    assert not wrong
    absent = {o.rule.id for o in outcomes if o.status is Status.ABSENT}
    x86 = real.facts["arch"] == "x86_64"
    expected = {
        id
        for id, rule in RULES.items()
        if rule.needs in _ABSENT or (rule.needs == "PC" and not x86)
    }
    assert absent == expected
    assert len(real.clean.handover.blocks) > 400


@pytest.mark.parametrize("id", sorted(BREAKERS))
def test_a_broken_one_is_noticed(real: RealImage, id: str) -> None:
    if RULES[id].needs == "PC" and real.facts["arch"] != "x86_64":
        pytest.skip("only a PC has memory that this is about")
    try:
        BREAKERS[id](real)
        with open_dump(real.path) as dump:
            found = broken(dump)
    finally:
        real.mend()
    level = RULES[id].level
    assert found.get(id) is (Status.FAILED if level is Level.FAILED else Status.WARNING), found
    also = ALSO[id]
    rest = {other for other in found if other not in (id, "KHR-I070")}
    assert also is None or rest == set(also), found


@pytest.mark.parametrize("left", [b"\0", b"\x29\x0d\x00\x80\xd2"], ids=["nothing", "old code"])
def test_before_the_jump_the_scratch_array_has_no_place(real: RealImage, left: bytes) -> None:
    """Until then there is whatever an earlier kernel left, and the rest says what scratch is."""
    place = _handoff(real).scratch_array
    real.write(place.begin, (left * place.size)[: place.size])
    try:
        with open_dump(real.path) as dump:
            snapshot = find_snapshot(dump)
            assert snapshot.scratch == real.clean.scratch
            assert not is_broken(check(snapshot))
    finally:
        real.mend()


def test_the_shares_are_the_whole() -> None:
    for_each = sum(rounds_of(WRITERS, format, 1 / len(_MACHINES)) for format in WRITERS)
    assert for_each * len(_MACHINES) >= COUNT


@pytest.mark.parametrize("format", sorted(WRITERS))
def test_mutations(real: RealImage, format: str, tmp_path: Path) -> None:
    ram, facts = real.small()
    path = tmp_path / format
    WRITERS[format](path, ram, facts)
    machine = facts["machine"] if format == "image" else None
    rounds = rounds_of(WRITERS, format, 1 / len(_MACHINES))
    mutate(path, rounds, random.Random(f"{SEED}/{format}/{facts['arch']}"), machine)
