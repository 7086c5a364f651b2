# SPDX-License-Identifier: BSD-3-Clause
"""hugetlb-v1: the number of huge pages of each size, and what is wrong with it."""

from __future__ import annotations

import struct

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st

Hstates = list[tuple[int, int]]  # pages, order


def hugetlb(hstates: Hstates, count: int | None = None) -> bytes:
    filled = (hstates + [(0, 0)] * 4)[:4]
    packed = b"".join(struct.pack("<QB", *hstate) for hstate in filled)
    return packed + bytes([len(hstates) if count is None else count])


def image_with(content: bytes) -> LuoImage:
    image = LuoImage()
    image.flb("hugetlb-v1", image.blob(content))
    for _ in range(2):
        image.client(f"page{len(image.image.clients)}", image.blob(b"", 9), 2 << 20)
    return image.finish()


def test_the_counts() -> None:
    image = image_with(hugetlb([(2, 9), (0, 18)]))
    assert violated(image) == {}
    expected = "preserved huge pages: 2 of 0x200000 bytes, 0 of 0x40000000 bytes"
    assert str(image.decoded("hugetlb-v1").state) == expected
    assert "LUO shared state/hugetlb-v1" in image.snapshot().owners.names


@pytest.mark.parametrize(
    "content, text",
    [
        (hugetlb([(3, 9)]), "3 preserved pages of order 9, but 2 blocks of that order"),
        (hugetlb([(1, 9), (1, 9)]), "order 9 is there twice, expected once"),
        (hugetlb([(1, 9)], count=5), "5 sizes, expected at most 4"),
        (hugetlb([(1, 60)]), "order 60, at most 37"),
    ],
)
def test_what_is_wrong(content: bytes, text: str) -> None:
    assert violated(image_with(content))["KHR-I202"] == [text]


@settings(deadline=None)
@given(st.binary(max_size=37))
def test_any_bytes(content: bytes) -> None:
    _ANY.image.ram.write(_PLACE, content.ljust(64, b"\0"))
    violated(_ANY)
    str(_ANY.decoded("hugetlb-v1").state)


_ANY = LuoImage()
_PLACE = _ANY.blob(b"")
_ANY.flb("hugetlb-v1", _PLACE)
_ANY.finish()
