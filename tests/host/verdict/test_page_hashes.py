# SPDX-License-Identifier: BSD-3-Clause
"""Hashes of pages, and what is said of a page that changed."""

from __future__ import annotations

import time

import numpy as np
import pytest
import xxhash
from view.handover_image import MIB, PAGE, RAM, HandoverImage

from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.memory import OutsideRam, PhysRange
from khorig.rules.temporal.byte_differences import describe_change
from khorig.rules.temporal.page_hashes import hash_pages

STEP = 0x9E3779B97F4A7C15


def frames(*addresses: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([a >> 12 for a in addresses], dtype=np.int64)


def test_hash_of_an_empty_page() -> None:
    """XXH64 of 4096 zero bytes with seed 0, by the reference implementation."""
    hashes = hash_pages(HandoverImage(scratch=()).memory, frames(RAM.end - PAGE), GEOMETRY_4K)
    assert hashes.values.tolist() == [xxhash.xxh64(bytes(PAGE), seed=0).intdigest()]


def test_runs_and_gaps() -> None:
    image = HandoverImage()
    addresses = [RAM.begin + n * PAGE for n in (3, 4, 5, 9, 11, 12)]
    for number, address in enumerate(addresses):
        image.ram.write(address, bytes([number]) * PAGE)
    hashes = hash_pages(image.memory, frames(*addresses), GEOMETRY_4K)
    assert hashes.values.tolist() == [xxhash.xxh64_intdigest(bytes([n]) * PAGE) for n in range(6)]
    assert hashes.of(addresses[3] >> 12) == int(hashes.values[3])
    with pytest.raises(KeyError):
        hashes.of(RAM.begin + 6 * PAGE >> 12)
    image.ram.write(addresses[4] + 4095, b"\xff")
    again = hash_pages(image.memory, hashes.frames, GEOMETRY_4K)
    assert hashes.differing(again).tolist() == [addresses[4] >> 12]


def test_no_pages_and_pages_outside() -> None:
    image = HandoverImage()
    assert len(hash_pages(image.memory, frames(), GEOMETRY_4K).values) == 0
    with pytest.raises(OutsideRam):
        hash_pages(image.memory, frames(RAM.end), GEOMETRY_4K)


def test_speed() -> None:
    """16,384 pages belong to the budget of a stop, about 15 ms on an idle machine; the limit here
    leaves room for a busy one, and counts CPU time only."""
    image = HandoverImage(ram=(PhysRange(RAM.begin, 64 * MIB),))
    image.ram.write(RAM.begin, bytes(64 * MIB))
    every = np.arange(RAM.begin >> 12, (RAM.begin >> 12) + 16384, dtype=np.int64)
    taken = []
    for _ in range(3):
        begin = time.process_time()
        hash_pages(image.memory, every, GEOMETRY_4K)
        taken.append(time.process_time() - begin)
    assert min(taken) < 0.15


# ---- what changed


def page(base: int) -> bytes:
    words = [(base + i * STEP) % (1 << 64) for i in range(512)]
    return np.array(words, dtype="<u8").tobytes()


def digest_of(data: bytes) -> int:
    return xxhash.xxh64_intdigest(data)


def test_a_page_with_words_of_its_own_is_not_expected_by_the_formula() -> None:
    """Most of its words follow it, and one never did: nobody knows which of the two changed."""
    before = bytearray(page(0x1234))
    before[80:88] = b"mine" * 2
    now = bytearray(before)
    now[8 * 100] ^= 1
    lines = describe_change(0x7000, None, bytes(now), digest_of(bytes(before)))
    assert len(lines) == 1 and lines[0].startswith("now starting with 0000000000001234 ")


def test_copy_from_before() -> None:
    before = bytes(PAGE)
    now = bytearray(before)
    now[64:72] = b"\xff" * 8
    lines = describe_change(0x5000, before, bytes(now), 0)
    assert lines[0] == (
        "0x0000000000005040: found 0xffffffffffffffff, expected 0x0000000000000000 (earlier copy)"
    )
    assert len(lines) == 1
    now[80:88] = b"\xff" * 8
    summary = "2 words differ within 24 bytes: now all 0xffffffffffffffff"
    assert describe_change(0x5000, before, bytes(now), 0)[-1] == summary


def test_word_against_the_formula() -> None:
    now = bytearray(page(0x1234))
    now[8 * 100] ^= 1
    expected = (0x1234 + 100 * STEP) % (1 << 64)
    lines = describe_change(0x7000, None, bytes(now), digest_of(page(0x1234)))
    assert lines[0] == (
        f"{0x7000 + 800:#018x}: found {expected ^ 1:#018x}, "
        f"expected {expected:#018x} (content formula)"
    )


def test_zeroed_part_and_limit() -> None:
    now = page(5)[:2048] + bytes(8) + page(5)[2056:3000] + bytes(1096)
    lines = describe_change(0, None, now, digest_of(page(5)))
    assert len(lines) == 5
    assert "words differ within" in lines[-1]


def test_content_of_another_page() -> None:
    assert describe_change(0, None, page(77), digest_of(page(5))) == (
        "all words match the content formula: content of another page",
    )


def test_no_formula() -> None:
    assert describe_change(0, None, bytes(PAGE), 0) == ("now all zero",)
    assert describe_change(0, None, b"\1" * PAGE, 0)[0].endswith("now all 0x0101010101010101")
    noise = np.random.default_rng(3).bytes(PAGE)
    assert describe_change(0, None, noise, 0)[0].startswith("now starting with ")
