# SPDX-License-Identifier: BSD-3-Clause
"""The tracker of kho-v1, chunk by chunk."""

from __future__ import annotations

import struct

import pytest
from view.handover_image import MIB, PAGE, RAM, HandoverImage

from khorig.kho.bitmap_chunks import BitmapChunks, decode_chunks
from khorig.kho.layout import GEOMETRY_4K

FULL = 255  # entries of 16 bytes behind a head of 16
SMALL = 512  # bytes of a bitmap, for 16 MiB of pages


def chunk(image: HandoverImage, entries: list[tuple[int, int]], order: int = 0) -> int:
    at = image.node()
    raw = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    image.ram.write(at, struct.pack("<QII", 0, order, len(entries)) + raw)
    return at


def ids(chunks: BitmapChunks) -> list[str]:
    return [problem.id for problem in chunks.problems]


def test_a_full_chunk() -> None:
    image = HandoverImage()
    bitmaps = image.allocate(5)
    image.ram.write(bitmaps, bytes(32 * PAGE))
    entries = [(RAM.begin + n * 16 * MIB, bitmaps + n * SMALL) for n in range(FULL)]
    image.ram.write(bitmaps + (FULL - 1) * SMALL, b"\x02")
    found = decode_chunks(image.memory, chunk(image, entries), GEOMETRY_4K)
    assert not found.problems and len(found.nodes) == 1 + FULL
    assert (found.blocks.frames << 12).tolist() == [entries[-1][0] + PAGE]


def test_small_bitmaps_that_lie_like_large_ones() -> None:
    """A large one covers 128 MiB, and what it begins with is aligned to that."""
    image = HandoverImage()
    entries = [(RAM.begin + 16 * MIB, image.node())]
    assert decode_chunks(image.memory, chunk(image, entries), GEOMETRY_4K).bitmap_bytes == SMALL
    entries = [(RAM.begin, image.node())]
    assert decode_chunks(image.memory, chunk(image, entries), GEOMETRY_4K).bitmap_bytes == PAGE


@pytest.mark.parametrize("order", [0, 1, 3])
def test_bits_stand_for_blocks(order: int) -> None:
    image = HandoverImage()
    bitmap = image.node()
    image.ram.write(bitmap + 512, b"\x05")
    found = decode_chunks(
        image.memory, chunk(image, [(RAM.begin, bitmap + 512)], order), GEOMETRY_4K
    )
    assert not found.problems
    assert (found.blocks.frames << 12).tolist() == [RAM.begin, RAM.begin + (2 * PAGE << order)]
    assert found.blocks.orders.tolist() == [order, order]


def test_a_bitmap_that_two_entries_name() -> None:
    image = HandoverImage()
    bitmap = image.node()
    image.ram.write(bitmap, b"\x01")
    found = decode_chunks(
        image.memory,
        chunk(image, [(RAM.begin, bitmap), (RAM.begin + 128 * MIB, bitmap)]),
        GEOMETRY_4K,
    )
    assert ids(found) == ["radix-cycle"]
    assert (found.blocks.frames << 12).tolist() == [RAM.begin]


@pytest.mark.parametrize("order, first", [(0, RAM.begin + 8), (1, RAM.begin + PAGE), (0, 1 << 52)])
def test_a_first_block_that_is_not_aligned(order: int, first: int) -> None:
    image = HandoverImage()
    found = decode_chunks(image.memory, chunk(image, [(first, image.node())], order), GEOMETRY_4K)
    assert ids(found) == ["chunk-first"]


def test_the_map_is_the_root() -> None:
    image = HandoverImage()
    at = chunk(image, [])
    assert ids(decode_chunks(image.memory, at, GEOMETRY_4K, taken=at)) == ["overlap"]
    assert ids(decode_chunks(image.memory, at, GEOMETRY_4K, taken=at + PAGE)) == []
