# SPDX-License-Identifier: BSD-3-Clause
"""hwpoison: the poisoned pages, what is wrong with the list, and what uses one of them."""

from __future__ import annotations

import struct
from typing import Sequence

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st
from view.handover_image import RAM, SCRATCH

from khorig.out.inspect.client_lines import client_lines

FREE = (RAM.end >> 12) - 9
SIZE = 32


def image_with(
    frames: Sequence[int],
    version: int = 1,
    pad: int = 0,
    count: int | None = None,
    size: int = SIZE,
) -> LuoImage:
    image = LuoImage()
    room = frames[:512]
    array = image.blob(struct.pack(f"<{len(room)}Q", *room))
    number = len(frames) if count is None else count
    head = struct.pack("<IIQ", version, pad, number) + image.image.vmalloc([array])
    image.client("hwpoison", image.blob(head), size)
    return image.finish()


def test_the_pages() -> None:
    image = image_with([FREE, FREE + 3])
    assert violated(image) == {}
    text = f"hwpoison: 2 poisoned pages: {FREE << 12:#x}, {FREE + 3 << 12:#x}"
    assert text in client_lines(image.snapshot())
    assert {"hwpoison", "hwpoison chunk", "hwpoison list"} <= set(image.snapshot().owners.names)
    assert str(image_with([]).decoded("hwpoison").state) == "0 poisoned pages"


@pytest.mark.parametrize(
    "image, text",
    [
        (image_with([FREE], version=2), "version 2, expected 1"),
        (image_with([FREE], pad=7), "reserved field 0x7, expected 0"),
        (image_with([FREE], size=31), "31 bytes, expected 32"),
        (
            image_with([FREE], count=513),
            "the poisoned pages: an array of 4104 bytes in pages for 4096",
        ),
        (image_with([1 << 63]), "page frame 0x8000000000000000, no such page"),
        (image_with([FREE, FREE]), f"page {FREE << 12:#018x} is listed twice"),
    ],
)
def test_what_is_wrong(image: LuoImage, text: str) -> None:
    assert violated(image)["KHR-I203"] == [text]


def test_a_poisoned_page_in_use() -> None:
    image = LuoImage()
    block = image.blob(b"", 2)
    image.client("client", block, 4 << 12)
    scratch = SCRATCH[1].end - 1
    array = image.blob(struct.pack("<4Q", FREE, scratch >> 12, (block >> 12) + 2, FREE + 1))
    head = struct.pack("<IIQ", 1, 0, 4) + image.image.vmalloc([array])
    image.client("hwpoison", image.blob(head), SIZE)
    assert violated(image.finish()) == {
        "KHR-I204": [
            "poisoned page is preserved, by client page 2",
            "poisoned page is in scratch area 1",
        ]
    }
    node = image.image.nodes[-1]
    image.image.write_u64(array, node >> 12)
    assert "poisoned page holds a node of the tracker" in violated(image)["KHR-I204"]


def test_a_list_of_another_number_of_pages() -> None:
    image = image_with([FREE])
    link = image.snapshot().handover.blob("/hwpoison")
    assert link
    image.image.write_u64(link.blob.begin + 16, image.image.node())
    assert violated(image).keys() == {"KHR-I036", "KHR-I070"}  # the page of the list is nobody's


@settings(deadline=None)
@given(st.binary(max_size=SIZE), st.binary(max_size=64))
def test_any_bytes(head: bytes, array: bytes) -> None:
    _ANY.image.ram.write(_PLACE, head.ljust(SIZE, b"\0"))
    violated(_ANY)
    fixed = struct.pack("<IIQ", 1, 0, len(array) // 8) + _LIST
    _ANY.image.ram.write(_PLACE, fixed)
    _ANY.image.ram.write(_ARRAY, array)
    violated(_ANY)
    client_lines(_ANY.snapshot())


_ANY = LuoImage()
_ARRAY = _ANY.blob(b"")
_LIST = _ANY.image.vmalloc([_ARRAY])
_PLACE = _ANY.blob(b"")
_ANY.client("hwpoison", _PLACE, SIZE)
_ANY.finish()
