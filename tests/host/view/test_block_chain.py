# SPDX-License-Identifier: BSD-3-Clause
"""Linux's chains of blocks, good and broken."""

from __future__ import annotations

import struct

import pytest
from view.handover_image import PAGE, RAM, HandoverImage

from khorig.kho.block_chain import read_block_chain
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.errors import DecodeError

ENTRY = 64
MOST = (PAGE - 16) // ENTRY


def block(image: HandoverImage, count: int, following: int = 0) -> int:
    raw = b"".join(bytes([n]) * ENTRY for n in range(min(count, MOST)))
    return image.preserved_page(struct.pack("<QQ", following, count) + raw)


def test_entries_come_in_sequence() -> None:
    image = HandoverImage()
    second = block(image, 2)
    first = block(image, MOST, second)
    chain = read_block_chain(image.memory, first, ENTRY, GEOMETRY_4K, set())
    assert chain.pages == (first, second)
    assert [entry[0] for _, entry in chain.entries] == [*range(MOST), 0, 1]
    assert [at for at, _ in chain.entries][-2:] == [second + 16, second + 16 + ENTRY]
    assert read_block_chain(image.memory, 0, ENTRY, GEOMETRY_4K, set()).entries == ()


@pytest.mark.parametrize("count", [0, MOST + 1, 1 << 63])
def test_counts_that_a_block_cannot_have(count: int) -> None:
    image = HandoverImage()
    last = block(image, count)
    with pytest.raises(DecodeError) as caught:
        read_block_chain(image.memory, block(image, 1, last), ENTRY, GEOMETRY_4K, set())
    assert (caught.value.problem.id, caught.value.problem.address) == ("chain-count", last)


def test_links_that_lead_nowhere() -> None:
    image = HandoverImage()
    inside = block(image, 1) + 8
    image.ram.write(inside, struct.pack("<QQ", 0, 1))
    loop = block(image, 1)
    image.write_u64(loop, loop)
    for at, id in ((inside, "unaligned"), (RAM.end, "outside-ram"), (loop, "chain-cycle")):
        with pytest.raises(DecodeError) as caught:
            read_block_chain(image.memory, block(image, 1, at), ENTRY, GEOMETRY_4K, set())
        assert (caught.value.problem.id, caught.value.problem.address) == (id, at)
