# SPDX-License-Identifier: BSD-3-Clause
"""Lists of blocks: counts around full chunks, and broken chains."""

from __future__ import annotations

import struct

import pytest
from view.handover_image import MIB, PAGE, RAM, HandoverImage

from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.vmalloc import Vmalloc, decode_vmalloc
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange

WHERE = 0x4711000


def decode(image: HandoverImage, raw: bytes) -> Vmalloc:
    return decode_vmalloc(image.memory, raw, WHERE, GEOMETRY_4K, 1 << 20)


def cause(image: HandoverImage, raw: bytes) -> tuple[str, int]:
    with pytest.raises(DecodeError) as caught:
        decode(image, raw)
    return caught.value.problem.id, caught.value.problem.address


def pages(count: int) -> list[int]:
    return [RAM.begin + 32 * MIB + i * PAGE for i in range(count)]


@pytest.mark.parametrize("count", [1, 510, 511, 512, 1021, 1022, 1023])
def test_counts(count: int) -> None:
    image = HandoverImage()
    vmalloc = decode(image, image.vmalloc(pages(count)))
    assert (vmalloc.blocks.frames << 12).tolist() == pages(count)
    assert len(vmalloc.chunks) == -(-count // 511)
    assert vmalloc.total_pages == count and vmalloc.order == 0


@pytest.mark.parametrize("count", [511, 1022])
def test_empty_chunk_after_full_ones(count: int) -> None:
    """Linux writes one."""
    image = HandoverImage()
    vmalloc = decode(image, image.vmalloc(pages(count), trailing=True))
    assert len(vmalloc.blocks) == count
    assert len(vmalloc.chunks) == count // 511 + 1


@pytest.mark.parametrize("count", [1, 512])
def test_empty_chunk_after_one_with_room(count: int) -> None:
    image = HandoverImage()
    assert cause(image, image.vmalloc(pages(count), trailing=True))[0] == "vmalloc-chain"


def test_empty_list() -> None:
    image = HandoverImage()
    assert len(decode(image, struct.pack("<QIHH", 0, 0, 1, 0)).blocks) == 0


def test_order() -> None:
    image = HandoverImage()
    blocks = [image.preserved_block(3) for _ in range(4)]
    vmalloc = decode(image, image.vmalloc(blocks, order=3))
    assert vmalloc.total_pages == 32
    assert vmalloc.blocks.page_count == 32
    assert (vmalloc.blocks.frames << 12).tolist() == blocks


@pytest.mark.parametrize("change", [-1, 1, 511, 1 << 30])
def test_page_count(change: int) -> None:
    image = HandoverImage()
    raw = bytearray(image.vmalloc(pages(600)))
    struct.pack_into("<I", raw, 8, 600 + change)
    assert cause(image, bytes(raw))[0] == "vmalloc-chain"


def test_cycle() -> None:
    image = HandoverImage()
    raw = bytearray(image.vmalloc(pages(1200)))
    struct.pack_into("<I", raw, 8, 0xFFFF_FFFF)
    first = struct.unpack_from("<Q", raw)[0]
    second = image.ram.read_u64(first)
    image.write_u64(second, first)
    assert cause(image, bytes(raw)) == ("vmalloc-chain", first)


def test_bad_addresses() -> None:
    image = HandoverImage()
    raw = image.vmalloc(pages(3))
    first = struct.unpack_from("<Q", raw)[0]
    for value, id in (
        (RAM.end, "outside-ram"),
        (1 << 63, "outside-ram"),
        (RAM.begin + 8, "unaligned"),
        (pages(1)[0], "overlap"),
    ):
        image.write_u64(first + 16, value)
        assert cause(image, raw)[0] == id
    image.write_u64(first + 16, pages(2)[1])
    image.write_u64(first, RAM.end + 8)
    raw = struct.pack("<QIHH", first, 1022, 1, 0)
    assert cause(image, raw) == ("unaligned", RAM.end + 8)
    assert cause(image, struct.pack("<QIHH", RAM.end, 1, 1, 0)) == ("outside-ram", RAM.end)


def test_a_hole_ends_a_list() -> None:
    """Linux stops at the first entry that is zero, whatever follows."""
    image = HandoverImage()
    raw = bytearray(image.vmalloc(pages(3)))
    first = struct.unpack_from("<Q", raw)[0]
    image.write_u64(first + 16, 0)
    struct.pack_into("<I", raw, 8, 2)
    assert cause(image, bytes(raw)) == ("vmalloc-chain", first)
    struct.pack_into("<I", raw, 8, 1)
    assert (decode(image, bytes(raw)).blocks.frames << 12).tolist() == pages(1)


def test_blocks_larger_than_a_page() -> None:
    end = RAM.begin + 40 * MIB
    image = HandoverImage(ram=(PhysRange(RAM.begin, 40 * MIB + 4 * PAGE),))
    good = image.vmalloc([RAM.begin + 36 * MIB], order=3)
    assert decode(image, good).total_pages == 8
    inside = RAM.begin + 36 * MIB + PAGE
    assert cause(image, image.vmalloc([inside], order=3)) == ("unaligned", inside)
    assert cause(image, image.vmalloc([end], order=3)) == ("outside-ram", end)
    assert cause(image, good[:8] + struct.pack("<IHH", 9, 1, 3))[0] == "vmalloc-chain"


def test_description() -> None:
    image = HandoverImage()
    assert cause(image, struct.pack("<QIHH", 0, 0, 1, 38)) == ("order-range", WHERE)
    assert len(decode(image, struct.pack("<QIHH", 0, 0, 1, 37)).blocks) == 0
    assert cause(image, b"short") == ("property-size", WHERE)
    assert cause(image, struct.pack("<QIHH", 0, 0, 1, 64)) == ("order-range", WHERE)
