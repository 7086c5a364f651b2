# SPDX-License-Identifier: BSD-3-Clause
"""Every rule holds on a clean dump and does not on one that is broken there."""

from __future__ import annotations

import dataclasses
import struct
from typing import Callable

import pytest
from dumps.bitmap_image import bitmap_dump
from dumps.sample import BOOT_PARAMS, Sample, broken
from view.handover_image import MIB, PAGE, RAM, SCRATCH, add_metadata, fdt_bytes

from khorig.kho.snapshot import find_snapshot
from khorig.mem.memory import PhysRange
from khorig.rules.check import check, is_broken
from khorig.rules.outcome import Status
from khorig.rules.registry import RULES, static_rules
from khorig.rules.rule import Level
from khorig.rules.static.format_rules import FORMAT_RULES

Breaker = Callable[[Sample], object]

# What breaks each rule: before the handover is written, or after. Where more than the one
# must break, those are named behind it, None for any.
EARLY: dict[str, Breaker] = {}
LATE: dict[str, Breaker] = {}
ALSO: dict[str, tuple[str, ...] | None] = {}


def early(id: str, *also: str) -> Callable[[Breaker], Breaker]:
    ALSO[id] = also

    def keep(breaker: Breaker) -> Breaker:
        EARLY[id] = breaker
        return breaker

    return keep


def late(id: str, *also: str, any_other: bool = False) -> Callable[[Breaker], Breaker]:
    ALSO[id] = None if any_other else also

    def keep(breaker: Breaker) -> Breaker:
        LATE[id] = breaker
        return breaker

    return keep


def text(at: int, content: bytes) -> Breaker:
    return lambda s: s.image.ram.write(at, content)


def change(name: str, value: object) -> Breaker:
    return lambda s: setattr(s, name, value)


@late("KHR-I001")
def _root_magic(s: Sample) -> None:
    s.image.ram.write(s.image.root, b"GARBAGE!")


@late("KHR-I002")
def _root_too_long(s: Sample) -> None:
    s.image.ram.write(s.image.root + 4, struct.pack(">I", 2 * PAGE))


early("KHR-I003")(lambda s: s.changes.update(compatible="kho-v9"))


@late("KHR-I004", any_other=True)
def _no_map(s: Sample) -> None:
    s.image.finish(preserved_memory_map=0)


early("KHR-I005")(lambda s: s.image.blocks.remove((s.image.root, 0)))


@early("KHR-I006", "KHR-I021")
def _root_in_scratch(s: Sample) -> None:
    s.image.blocks.remove((s.image.root, 0))
    s.image.root = SCRATCH[1].begin
    s.image.preserve(s.image.root, 0)
    s.image.allocated.append((s.image.root, 0))


@early("KHR-I007")
def _half_a_link(s: Sample) -> None:
    s.image.clients["half"] = {"preserved-data": s.image.preserved_page()}


@early("KHR-I008")
def _client_outside(s: Sample) -> None:
    s.image.clients["stray"] = s.image.link(RAM.end + PAGE, 8)


@early("KHR-I009")
def _client_not_preserved(s: Sample) -> None:
    s.image.clients["stray"] = s.image.link(s.image.allocate(), 8)
    ALSO["KHR-I009"] = ("KHR-I069",)


@late("KHR-I010")
def _twins(s: Sample) -> None:
    content = s.image.ram.read(s.image.root, PAGE)
    s.image.ram.write(s.image.root, content.replace(b"memblock", b"kho_test"))
    ALSO["KHR-I010"] = None  # whatever the first of the two makes of it


early("KHR-I011")(change("root_size", 64))


@early("KHR-I012")
def _another_root(s: Sample) -> None:
    s.anchored = s.image.allocate()


def _slot(s: Sample) -> int:
    """An empty slot of the tracker's root table."""
    return s.image.nodes[0] + 8 * 300


late("KHR-I013")(lambda s: s.image.write_u64(_slot(s), RAM.begin + 8))
late("KHR-I014")(lambda s: s.image.write_u64(_slot(s), RAM.end))
late("KHR-I015")(lambda s: s.image.write_u64(_slot(s), s.image.nodes[1]))
late("KHR-I016", "KHR-I025")(lambda s: s.image.set_key(1 << 54))


@late("KHR-I017")
def _node_preserved(s: Sample) -> None:
    s.image.set_key(1 << 52 | s.image.nodes[2] >> 12)


@late("KHR-I018", any_other=True)
def _leaf_of_ones(s: Sample) -> None:
    s.image.ram.write(s.image.nodes[5], b"\xff" * PAGE)


@early("KHR-I019")
def _block_outside(s: Sample) -> None:
    s.image.preserve(RAM.end, 0)


@early("KHR-I020")
def _block_in_block(s: Sample) -> None:
    s.image.preserve(s.reserved_area + PAGE, 0)


@early("KHR-I021", "KHR-I024")
def _block_in_scratch(s: Sample) -> None:
    s.image.preserve(SCRATCH[1].begin + PAGE, 0)


@late("KHR-I022", "KHR-I025")
def _node_in_scratch(s: Sample) -> None:
    leaf, to = s.image.nodes[5], SCRATCH[1].begin
    s.image.ram.write(to, s.image.ram.read(leaf, PAGE))
    for node in s.image.nodes:
        for at in range(node, node + PAGE, 8):
            if s.image.ram.read_u64(at) == leaf:
                s.image.write_u64(at, to)


@early("KHR-I023", "KHR-I024")
def _low_block(s: Sample) -> None:
    s.image.preserve(0x90000, 0)


@early("KHR-I024")
def _free_block(s: Sample) -> None:
    s.frames[s.log] = 0x20
    ALSO["KHR-I024"] = ()


@late("KHR-I025")
def _free_node(s: Sample) -> None:
    s.frames[s.image.nodes[1]] = 0x20
    s.write_frames()


@late("KHR-I029", any_other=True)
def _fragment_garbage(s: Sample) -> None:
    structure = struct.unpack(">I", s.image.ram.read(s.khorig + 8, 4))[0]
    s.image.ram.write(s.khorig + structure, b"\xff" * 64)


@late("KHR-I030", any_other=True)
def _fragment_too_long(s: Sample) -> None:
    s.image.ram.write(s.khorig + 4, struct.pack(">I", PAGE + 8))


@early("KHR-I031")
def _fragment_twice(s: Sample) -> None:
    fragment = s.image.fragment({"compatible": "x"})
    s.image.clients["one"] = s.image.link(fragment)
    s.image.clients["two"] = s.image.link(fragment)


@early("KHR-I032")
def _deep(s: Sample) -> None:
    below = s.image.fragment({"compatible": "x"})
    for _ in range(64):
        below = s.image.fragment({"compatible": "x", "more": s.image.link(below)})
    s.image.clients["deep"] = s.image.link(below)


@early("KHR-I033")
def _fragment_unaligned(s: Sample) -> None:
    page = s.image.preserved_page(b"\0" * 4 + fdt_bytes({"compatible": "x"}, 1024))
    s.image.clients["odd"] = s.image.link(page + 4, 1024)


@early("KHR-I034")
def _no_terminator(s: Sample) -> None:
    fragment = s.image.fragment({"compatible": b"endless"})
    s.image.clients["odd"] = s.image.link(fragment)


@early("KHR-I035")
def _another_kind(s: Sample) -> None:
    fragment = s.image.fragment({"compatible": "memblock-v9"})
    s.image.clients["memblock"] = s.image.link(fragment)


early("KHR-I036")(lambda s: setattr(s, "store", s.store[:8] + b"\5" + s.store[9:]))
early("KHR-I037")(lambda s: setattr(s, "store", s.store[:14] + struct.pack("<H", 60)))


def _first_entry(s: Sample) -> int:
    return int.from_bytes(s.store[:8], "little") + 8


early("KHR-I038")(lambda s: s.image.write_u64(_first_entry(s), s.stored[0] + 8))
early("KHR-I039")(lambda s: s.image.write_u64(_first_entry(s), RAM.end))
early("KHR-I040")(lambda s: s.image.write_u64(_first_entry(s), s.stored[1]))


@early("KHR-I041", "KHR-I020")
def _other_order(s: Sample) -> None:
    pair = s.image.preserved_block(1)
    s.store, s.store_size = s.image.vmalloc([*s.stored, pair]), 4 * PAGE
    s.image.preserve(pair + PAGE, 0)


early("KHR-I042")(lambda s: setattr(s, "store", s.store[:12] + b"\x08" + s.store[13:]))


@early("KHR-I043")
def _another_version(s: Sample) -> None:
    blob = struct.pack("<I65sI", 2, b"khorig", 1)
    s.image.clients["kexec-metadata"] = s.image.link(s.image.preserved_page(blob), len(blob))


@early("KHR-I044")
def _endless_release(s: Sample) -> None:
    blob = struct.pack("<I65sI", 1, b"r" * 65, 1)
    s.image.clients["kexec-metadata"] = s.image.link(s.image.preserved_page(blob), len(blob))


early("KHR-I045")(lambda s: add_metadata(s.image, 5))
early("KHR-I046")(lambda s: setattr(s, "reserved", {**s.reserved, "size": b"four"}))


@early("KHR-I047")
def _reserved_not_preserved(s: Sample) -> None:
    s.image.blocks.remove((s.reserved_area, 4))


early("KHR-I048")(change("store_size", 4 * PAGE))
early("KHR-I049")(lambda s: s.image.ram.write(s.log, b"no magic"))
early("KHR-I050")(lambda s: s.image.ram.write(s.luo, b"luo-v6"))
early("KHR-I051")(lambda s: s.image.write_u64(s.sessions, s.sessions))
early("KHR-I052")(lambda s: s.image.write_u64(s.sessions + 8, 0))
early("KHR-I053")(lambda s: s.image.write_u64(s.sessions + 16 + 72, 2))
early("KHR-I054")(lambda s: s.image.ram.write(s.sessions + 16, b"n" * 64))
early("KHR-I055")(lambda s: s.image.ram.write(s.files + 16, b"memfd-v1"))
early("KHR-I056")(lambda s: s.image.write_u64(s.memfd_array, RAM.begin + 60 * MIB >> 12))
early("KHR-I057")(lambda s: s.image.write_u64(s.memfd_array + 8, 99))
early("KHR-I058")(change("test_magic", 0x12345678))
early("KHR-I059")(lambda s: s.image.write_u64(s.test_array, s.test_folios[0][0] | 1))
early("KHR-I060")(change("test_sum", 0x12345))
early("KHR-I061")(change("array_size", 17))
early("KHR-I062")(change("scratch", [SCRATCH[0], PhysRange(SCRATCH[1].begin + MIB, 4 * MIB)]))
early("KHR-I063")(change("scratch", [*SCRATCH, PhysRange(RAM.end, 4 * MIB)]))
early("KHR-I064")(change("scratch", [*SCRATCH, SCRATCH[1]]))
early("KHR-I065", "KHR-I067")(change("scratch", [PhysRange(SCRATCH[0].begin, 0)]))
early("KHR-I066", "KHR-I063")(change("scratch", [PhysRange(8 << 30, 4 * MIB), *SCRATCH]))


@early("KHR-I067")
def _array_elsewhere(s: Sample) -> None:
    s.array = s.image.allocate()


@early("KHR-I068")
def _two_owners(s: Sample) -> None:
    s.image.clients["other"] = s.image.link(s.reserved_area, 100)


@early("KHR-I069")
def _memfd_not_preserved(s: Sample) -> None:
    s.image.blocks.remove((s.memfd, 0))


early("KHR-I070")(lambda s: s.image.preserve(s.image.allocate(), 0))
early("KHR-I200")(change("changes", {"compatible": "kho-v4;vmalloc-v1;radix-v1"}))
early("KHR-I072")(change("frame_table", RAM.end))
early("KHR-I071")(lambda s: s.left_out.add(s.test_folios[1][0] + PAGE))


def test_the_rest_of_a_block_belongs_to_who_has_its_start() -> None:
    s = Sample()
    s.image.clients["short"] = s.image.link(s.image.preserved_block(3), 100)
    assert not broken(s.finish().dump())


_OF_BITMAPS = {"KHR-I026", "KHR-I027", "KHR-I028"}
_ELSEWHERE = {
    "KHR-I073",  # test_plugins.py
    "KHR-I074",  # view/test_live_cpu.py
    "KHR-I075",
    *(rule.id for rule in FORMAT_RULES[1:]),  # formats/
}


def test_the_clean_sample_keeps_them_all() -> None:
    outcomes = check(Sample().finish().snapshot())
    assert not is_broken(outcomes)
    assert {o.rule.id for o in outcomes if o.status is not Status.OK} == _OF_BITMAPS | _ELSEWHERE


@pytest.mark.parametrize("id", sorted(static_rules().keys() - _OF_BITMAPS - _ELSEWHERE))
def test_a_broken_one_is_noticed(id: str) -> None:
    s = Sample()
    if id in EARLY:
        EARLY[id](s)
    s.finish()
    if id in LATE:
        LATE[id](s)
    found = broken(s.dump())
    level = RULES[id].level
    assert found.get(id) is (Status.FAILED if level is Level.FAILED else Status.WARNING)
    also = ALSO[id]
    # A page that its owner cannot be found for any more is what follows of nearly everything.
    failed = {other for other in found if other not in (id, "KHR-I070")}
    assert also is None or failed == set(also), found


def test_an_array_without_any_area_is_shown_when_nobody_else_tells() -> None:
    s = Sample()
    s.scratch = [PhysRange(0x0110_2030_4050_6070, 0x0102_0304_0506_0708)]
    snapshot = s.finish().snapshot()
    assert snapshot.scratch == tuple(s.scratch)
    found = broken(s.dump())
    assert {"KHR-I062", "KHR-I063", "KHR-I067"} <= found.keys()


def test_bitmaps() -> None:
    clean = {"KHR-I070": Status.WARNING}  # blocks that no client names
    assert broken(bitmap_dump(512)) == clean and broken(bitmap_dump(PAGE)) == clean
    assert broken(bitmap_dump(512, count=300)).get("KHR-I026") is Status.FAILED
    assert broken(bitmap_dump(512, shift=PAGE // 2)).get("KHR-I027") is Status.FAILED
    assert broken(bitmap_dump(PAGE, only_low=True)) == {"KHR-I028": Status.WARNING, **clean}


def test_violations_name_address_owner_and_both_values() -> None:
    s = Sample()
    s.frames[s.log] = 0x20
    outcomes = check(s.finish().snapshot())
    [outcome] = [o for o in outcomes if o.status is Status.FAILED]
    [violation] = outcome.violations
    assert violation.address == s.log and violation.owner == "khorig/log"
    assert "free head of order 0" in violation.text and "expected allocated" in violation.text


def test_without_what_an_invariant_is_about_it_is_absent() -> None:
    s = Sample().finish()
    s.image.ram.write(BOOT_PARAMS, bytes(3 * PAGE))
    dump = dataclasses.replace(s.dump(), run=None)
    outcomes = {o.rule.id: o.status for o in check(find_snapshot(dump, root=s.image.root))}
    for id in ("KHR-I021", "KHR-I024", "KHR-I061", "KHR-I045"):
        assert outcomes[id] is Status.ABSENT
