# SPDX-License-Identifier: BSD-3-Clause
"""The radix tree, against keys and slots worked out by hand from the ABI text."""

from __future__ import annotations

import random
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view.handover_image import MIB, PAGE, RAM, HandoverImage

from khorig.kho.layout import GEOMETRY_4K, Geometry
from khorig.kho.radix import RadixTree, decode_radix, sound_blocks
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import LeftOut, PhysRange, RamMemory


def decode(image: HandoverImage) -> RadixTree:
    return decode_radix(image.memory, image.write_tree(), GEOMETRY_4K)


def pairs(tree: RadixTree) -> list[tuple[int, int]]:
    return [(int(f) << 12, int(o)) for f, o in zip(tree.blocks.frames, tree.blocks.orders)]


def ids(tree: RadixTree, image: HandoverImage) -> list[str]:
    return [
        p.id for p in tree.problems + sound_blocks(tree.blocks, image.memory, GEOMETRY_4K).problems
    ]


@pytest.mark.parametrize(
    "shift, order_0_bit, table, bitmap, levels",
    [(12, 52, 9, 15, 6), (14, 50, 11, 17, 5), (16, 48, 13, 19, 4)],
)
def test_geometry_is_linux_s(
    shift: int, order_0_bit: int, table: int, bitmap: int, levels: int
) -> None:
    geometry = Geometry(shift)
    assert geometry.order_0_bit == order_0_bit
    assert geometry.table_log2 == table
    assert geometry.bitmap_log2 == bitmap
    assert geometry.levels == levels


def test_one_page_by_hand() -> None:
    # Page 0x40003000: key = 1 << 52 | 0x40003. Its slots from level 5 down: 52 - 51 = bit 1 of the
    # topmost index, so 2; 0; 0; 0; 0x40003 >> 15 = 8; bit 3 of the leaf.
    ram = GuestRam(memoryview(bytearray(64 * PAGE)), [RamRegion(0x4000_0000, 64 * PAGE, 0)])
    nodes = [0x4001_0000 + i * PAGE for i in range(6)]
    for node, child, slot in zip(nodes, nodes[1:], (2, 0, 0, 0, 8)):
        ram.write(node + 8 * slot, struct.pack("<Q", child))
    ram.write(nodes[5], b"\x08")
    tree = decode_radix(RamMemory(ram), nodes[0], GEOMETRY_4K)
    assert not tree.problems
    assert tree.keys.tolist() == [0x10000000040003]
    assert pairs(tree) == [(0x4000_3000, 0)]
    assert [n.address for n in tree.nodes] == nodes
    assert [n.level for n in tree.nodes] == [5, 4, 3, 2, 1, 0]


def test_highest_frame_of_order_0() -> None:
    """All bits below the order bit set: the last page below 2^64."""
    image = HandoverImage()
    image.preserve((1 << 64) - PAGE, 0)
    tree = decode(image)
    assert tree.blocks.frames.tolist()[-1] == (1 << 52) - 1
    assert ids(tree, image) == ["outside-ram"]


def test_16k_pages() -> None:
    geometry = Geometry(14)
    page = geometry.page_size
    ram = GuestRam(memoryview(bytearray(64 * page)), [RamRegion(0x4000_0000, 64 * page, 0)])
    nodes = [0x4010_0000 - (i + 1) * page for i in range(5)]
    # Order 1 at 0x40008000: key = 1 << 49 | 0x40008000 >> 15 = 1 << 49 | 0x8001. Indexes from level
    # 4 down: 49 - 50 < 0, so 0; then 1 << (49 - 39) = 1024; 0; 0; the leaf bit 0x8001.
    for node, child, slot in zip(nodes, nodes[1:], (0, 1024, 0, 0)):
        ram.write(node + 8 * slot, struct.pack("<Q", child))
    ram.write(nodes[4] + 0x8001 // 8, b"\x02")
    tree = decode_radix(RamMemory(ram), nodes[0], geometry)
    assert not tree.problems
    assert (tree.blocks.frames[0] << 14, tree.blocks.orders[0]) == (0x4000_8000, 1)
    assert [n.level for n in tree.nodes] == [4, 3, 2, 1, 0]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 1 << 14)), max_size=80))
def test_any_set_of_blocks_comes_back(chosen: set[tuple[int, int]]) -> None:
    image = HandoverImage()
    expected = set()
    for order, number in chosen:
        address = RAM.begin + (number % (RAM.size >> (12 + order)) << (12 + order))
        expected.add((address, order))
        image.preserve(address, order)
    expected.add((image.root, 0))
    tree = decode(image)
    assert set(pairs(tree)) == expected
    assert len(tree.blocks) == len(expected)
    assert tree.keys.tolist() == sorted(GEOMETRY_4K.key(a, o) for a, o in expected)
    assert {n.address for n in tree.nodes} == set(image.nodes)
    assert not tree.problems


def test_huge_orders() -> None:
    """2 GiB and more: the order bit alone tells, and no 32-bit shift may be involved."""
    image = HandoverImage(ram=(RAM, PhysRange(1 << 32, 8192)))
    for order in (19, 20, 30):
        image.preserve(1 << 42, order)
    tree = decode(image)
    assert {(1 << 42, 19), (1 << 42, 20), (1 << 42, 30)} < set(pairs(tree))


def test_null_map() -> None:
    assert [p.id for p in decode_radix(HandoverImage().memory, 0, GEOMETRY_4K).problems] == [
        "radix-null"
    ]


@pytest.mark.parametrize(
    "address, cause",
    [(RAM.begin + 8, "unaligned"), (RAM.end, "outside-ram"), ((1 << 64) - PAGE, "outside-ram")],
)
def test_bad_root_pointer(address: int, cause: str) -> None:
    assert [p.id for p in decode_radix(HandoverImage().memory, address, GEOMETRY_4K).problems] == [
        cause
    ]


def slot_of_leaf(image: HandoverImage) -> int:
    """Address of the pointer to the leaf with the root page."""
    node = image.nodes[-2]
    return next(node + i for i in range(0, PAGE, 8) if image.ram.read_u64(node + i))


@pytest.mark.parametrize(
    "value, cause",
    [(RAM.begin + 0x10_0008, "unaligned"), (RAM.end, "outside-ram"), (1 << 60, "outside-ram")],
)
def test_bad_node_pointer(value: int, cause: str) -> None:
    image = HandoverImage()
    image.write_tree()
    slot = slot_of_leaf(image)
    image.write_u64(slot, value)
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert [(p.id, p.address) for p in tree.problems] == [(cause, slot)]
    assert len(tree.blocks) == 0


def test_a_node_that_ram_ends_inside() -> None:
    image = HandoverImage(ram=(PhysRange(RAM.begin, 32 * MIB - PAGE // 2),))
    image.write_tree()
    slot = slot_of_leaf(image)
    image.write_u64(slot, RAM.begin + 32 * MIB - PAGE)
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert [(p.id, p.address) for p in tree.problems] == [("outside-ram", slot)]
    assert [n.address for n in tree.nodes] == image.nodes[:-1]


def test_the_page_of_the_root_is_no_node_of_any_level() -> None:
    for level in range(5):
        image = HandoverImage()
        image.write_tree()
        above = image.nodes[4 - level]
        slot = next(above + i for i in range(0, PAGE, 8) if image.ram.read_u64(above + i))
        image.write_u64(slot, image.root)
        tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K, taken=image.root)
        assert [(p.id, p.address) for p in tree.problems] == [("overlap", slot)]


class _Lacking(RamMemory):
    """Memory of a dump that lacks one page."""

    lost = 0

    def view(self, address: int, size: int) -> memoryview:
        if address == self.lost:
            raise LeftOut(address, size)
        return super().view(address, size)


def test_a_node_that_the_dump_lacks_is_a_problem() -> None:
    image = HandoverImage()
    image.write_tree()
    memory = _Lacking(image.ram)
    memory.lost = image.nodes[-1]
    tree = decode_radix(memory, image.nodes[0], GEOMETRY_4K)
    assert [(p.id, p.address) for p in tree.problems] == [("left-out", memory.lost)]
    assert len(tree.blocks) == 0


def test_more_keys_than_ram_has_pages() -> None:
    """No leaf alone has as many."""
    image = HandoverImage()
    image.write_tree()
    slot = slot_of_leaf(image)
    ones = b"\xff" * (RAM.size // PAGE // 8 - 8)
    image.ram.write(image.nodes[-1], ones)
    assert "radix-size" not in [
        p.id for p in decode_radix(image.memory, image.nodes[0], GEOMETRY_4K).problems
    ]
    another = image.allocate()
    image.ram.write(another, ones)
    image.write_u64(slot + 8, another)
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert [(p.id, p.address) for p in tree.problems] == [("radix-size", another)]


@pytest.mark.parametrize("ancestor", range(5))
def test_cycles_end(ancestor: int) -> None:
    image = HandoverImage()
    image.write_tree()
    slot = slot_of_leaf(image)
    image.write_u64(slot, image.nodes[ancestor])
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert [(p.id, p.address) for p in tree.problems] == [("radix-cycle", slot)]


def test_shared_node() -> None:
    """A leaf that hangs from two slots stands for blocks nobody preserved."""
    image = HandoverImage()
    image.write_tree()
    slot = slot_of_leaf(image)
    image.write_u64(slot + 8, image.ram.read_u64(slot))
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert [(p.id, p.address) for p in tree.problems] == [("radix-cycle", slot + 8)]
    assert pairs(tree) == [(image.root, 0)]


@pytest.mark.parametrize("key", [1 << 53, 1 << 59, (1 << 53) | (1 << 52) | 5])
def test_key_above_the_order_bits(key: int) -> None:
    image = HandoverImage()
    image.write_tree()
    image.set_key(key)
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert [p.id for p in tree.problems] == ["order-range"]
    assert pairs(tree) == [(image.root, 0)]


def test_key_without_order_bit() -> None:
    image = HandoverImage()
    image.write_tree()
    image.set_key(0)
    image.set_key(1)  # order 52: all of memory, well-formed and not in RAM
    tree = decode_radix(image.memory, image.nodes[0], GEOMETRY_4K)
    assert ids(tree, image) == ["order-range", "outside-ram"]


@pytest.mark.parametrize(
    "address, order",
    [(RAM.end, 0), (RAM.begin - PAGE, 0), (0, 0), (RAM.end - PAGE, 40), (RAM.begin, 15)],
)
def test_block_outside_ram(address: int, order: int) -> None:
    image = HandoverImage()
    image.preserve(address, order)
    tree = decode(image)
    assert ids(tree, image) == ["outside-ram"]
    assert len(sound_blocks(tree.blocks, image.memory, GEOMETRY_4K).blocks) == 1


def test_blocks_up_to_the_edges_of_ram_are_fine() -> None:
    image = HandoverImage()
    image.preserve(RAM.end - PAGE, 0)
    image.preserve(RAM.end - 16 * MIB, 10)
    assert ids(decode(image), image) == []


def test_block_in_two_regions() -> None:
    """A hole cuts a block; regions that touch do not."""
    hole = HandoverImage(ram=(PhysRange(RAM.begin, MIB), PhysRange(RAM.begin + 2 * MIB, MIB)))
    hole.preserve(RAM.begin, 9)
    assert ids(decode(hole), hole) == ["outside-ram"]
    whole = HandoverImage(ram=(PhysRange(RAM.begin, MIB), PhysRange(RAM.begin + MIB, MIB)))
    whole.blocks.clear()
    whole.preserve(RAM.begin, 9)
    assert ids(decode(whole), whole) == []


@pytest.mark.parametrize(
    "blocks",
    [
        [(RAM.begin + 8 * MIB, 3), (RAM.begin + 8 * MIB, 0)],
        [(RAM.begin + 8 * MIB, 10), (RAM.begin + 9 * MIB, 2)],
        [(RAM.begin + 8 * MIB, 9), (RAM.begin + 10 * MIB - PAGE, 0)],
    ],
)
def test_overlap(blocks: list[tuple[int, int]]) -> None:
    image = HandoverImage()
    for address, order in blocks:
        image.preserve(address, order)
    tree = decode(image)
    smaller = blocks[1][0]
    problems = sound_blocks(tree.blocks, image.memory, GEOMETRY_4K).problems
    assert [(p.id, p.address) for p in problems] == [("overlap", smaller)]


def test_sound_blocks_are_disjoint() -> None:
    rng = random.Random(7)
    image = HandoverImage()
    for _ in range(400):
        order = rng.randrange(11)
        image.preserve(RAM.begin + (rng.randrange(RAM.size) >> 12 + order << 12 + order), order)
    sound = sound_blocks(decode(image).blocks, image.memory, GEOMETRY_4K).blocks
    frames = sound.page_frames()
    assert len(np.unique(frames)) == len(frames) == sound.page_count
    assert (np.diff(np.sort(frames)) > 0).all()


def test_problems_are_bounded() -> None:
    image = HandoverImage()
    for i in range(1000):
        image.preserve(RAM.end + i * PAGE, 0)
    problems = sound_blocks(decode(image).blocks, image.memory, GEOMETRY_4K).problems
    assert 0 < len(problems) <= 64


def test_garbage_is_given_up_soon() -> None:
    """Tables full of bad pointers, reached through good ones, must not be walked to the end."""
    image = HandoverImage()
    image.write_tree()
    for table in range(512):
        page = image.allocate()
        image.ram.write(page, struct.pack("<512Q", *range(1, 513)))
        image.write_u64(image.nodes[0] + 8 * table, page)
    begin = time.process_time()
    assert len(decode_radix(image.memory, image.nodes[0], GEOMETRY_4K).problems) == 64
    assert time.process_time() - begin < 0.3


def test_speed() -> None:
    """The budget of a stop: 64 MiB in 2,000 blocks within a few ms, 100,000 blocks within a second;
    the limits here leave room for a busy machine."""
    big = HandoverImage(ram=(PhysRange(RAM.begin, 512 * MIB),), scratch=())
    for i in range(100_000):
        big.preserve(RAM.begin + 64 * MIB + i * PAGE, 0)
    root = big.write_tree()
    begin = time.process_time()
    tree = decode_radix(big.memory, root, GEOMETRY_4K)
    assert len(sound_blocks(tree.blocks, big.memory, GEOMETRY_4K).blocks) == 100_001
    assert time.process_time() - begin < 0.5


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_nodes_never_raise(data: st.DataObject) -> None:
    image = HandoverImage()
    for i in range(20):
        image.preserved_block(i % 4)
    root = image.write_tree()
    for _ in range(data.draw(st.integers(1, 12))):
        node = data.draw(st.sampled_from(image.nodes))
        at = node + data.draw(st.integers(0, PAGE - 8))
        word = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from(image.nodes).map(lambda n: struct.pack("<Q", n)),
            )
        )
        image.ram.write(at, word)
    tree = decode_radix(image.memory, root, GEOMETRY_4K)
    sound = sound_blocks(tree.blocks, image.memory, GEOMETRY_4K)
    assert sound.blocks.page_count <= RAM.size // PAGE
    assert sound.blocks.inside(image.memory.ranges, 12).all()
