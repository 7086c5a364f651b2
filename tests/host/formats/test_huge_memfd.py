# SPDX-License-Identifier: BSD-3-Clause
"""huge-memfd-v1: a memfd of huge pages."""

from __future__ import annotations

import struct

import pytest
from formats.luo_image import LuoImage, violated
from formats.test_hugetlb import hugetlb
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.out.inspect.client_lines import client_lines

TWO = ((9, 0), (9, 512))  # order and page of each folio


def image_with(
    folios: tuple[tuple[int, int], ...] = TWO, size: int = 4 << 20, order: int = 9
) -> LuoImage:
    image = LuoImage()
    placed = [(image.blob(b"", each) >> 12, index) for each, index in folios]
    array = image.blob(b"".join(struct.pack("<QQ", *entry) for entry in placed))
    head = struct.pack("<QQQ", size, 0, len(folios)) + image.image.vmalloc([array])
    image.file("huge-memfd-v1", image.blob(head + bytes([order])), 7)
    image.flb("hugetlb-v1", image.blob(hugetlb([(len(folios), order)])))
    return image.finish()


def test_a_file() -> None:
    image = image_with()
    assert violated(image) == {}
    snapshot = image.snapshot()
    text = "memfd, 0x400000 bytes in 2 huge pages of order 9"
    assert f"LUO:   token 0x7: huge-memfd-v1, {text}" in client_lines(snapshot)
    parts = ("", " chunk", " array", " folio")
    assert {f"LUO/vm/0x7{part}" for part in parts} <= set(snapshot.owners.names)
    assert not len(snapshot.owners.unowned[0])


@pytest.mark.parametrize(
    "image, text",
    [
        (
            image_with(((9, 0), (8, 512))),
            "LUO/vm/0x7: folio 1 is preserved with order 8, expected 9",
        ),
        (image_with(size=2 << 20), "LUO/vm/0x7: a folio for page 512 of a file of 512 pages"),
        (image_with(((9, 0), (9, 0))), "LUO/vm/0x7: two folios for one page"),
    ],
)
def test_what_is_wrong(image: LuoImage, text: str) -> None:
    assert violated(image)["KHR-I210"] == [text]


@settings(deadline=None)
@given(st.binary(max_size=41), st.binary(max_size=32))
def test_any_bytes(head: bytes, array: bytes) -> None:
    ram = _ANY.image.ram
    ram.write(_PLACES[0], head.ljust(41, b"\0"))
    violated(_ANY)
    ram.write(_PLACES[0], struct.pack("<QQQ", 1 << 30, 0, len(array) // 16) + _LIST + b"\0")
    ram.write(_PLACES[1], array)
    violated(_ANY)
    client_lines(_ANY.snapshot())


_ANY = LuoImage()
_PLACES = [_ANY.blob(b"") for _ in range(2)]
_LIST = _ANY.image.vmalloc([_PLACES[1]])
_ANY.file("huge-memfd-v1", _PLACES[0], 7)
_ANY.finish()
