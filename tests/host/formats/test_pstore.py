# SPDX-License-Identifier: BSD-3-Clause
"""pstore-kho: the log of a kernel."""

from __future__ import annotations

import struct

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.out.inspect.client_lines import client_lines
from khorig.rules.check import features
from khorig.rules.temporal.keeping import Span, pages_that_stay

HEAD = 44


def pstore(size: int, version: int = 1, compressed: int = 0) -> bytes:
    record = struct.pack("<qqIiIII", size, 1_790_000_000, 5, 1, 2, 3, compressed)
    return struct.pack("<I4x", version) + record


def image_with(content: bytes, size: int = 4096) -> LuoImage:
    image = LuoImage()
    image.client("pstore-kho", image.blob(content), size)
    return image.finish()


@pytest.mark.parametrize("compressed, what", [(0, "log"), (1, "compressed log")])
def test_a_record(compressed: int, what: str) -> None:
    image = image_with(pstore(100, compressed=compressed))
    assert violated(image) == {}
    snapshot = image.snapshot()
    link = snapshot.handover.blob("/pstore-kho")
    assert link
    where = f"100 bytes at {link.blob.begin + HEAD:#x}"
    text = f"pstore-kho: {what}, {where}, part 3, reason 2, written at 1790000000"
    assert text in client_lines(snapshot)
    assert "pstore-kho" in snapshot.owners.names
    assert "pstore-kho" in features(snapshot)


def test_without_a_record() -> None:
    image = image_with(pstore(0))
    assert violated(image) == {}
    assert str(image.decoded("pstore-kho").state) == "no record"


@pytest.mark.parametrize(
    "content, size, text",
    [
        (pstore(4096 - HEAD + 1), 4096, "a record of 4053 bytes, expected 0 to 4052"),
        (pstore(-1), 4096, "a record of -1 bytes, expected 0 to 4052"),
        (pstore(9, version=2), 4096, "version 2, expected 1"),
        (pstore(9), 43, "43 bytes, expected 44"),
    ],
)
def test_what_is_wrong(content: bytes, size: int, text: str) -> None:
    assert violated(image_with(content, size))["KHR-I207"] == [text]


def test_the_device_tree_of_an_earlier_posting() -> None:
    image = LuoImage()
    image.client("pstore-kho", image.image.fragment({"compatible": "pstore-kho-v1"}), 4096)
    assert violated(image.finish()) == {}
    (line,) = [line for line in client_lines(image.snapshot()) if line.startswith("pstore-kho")]
    assert "pstore-kho" not in features(image.snapshot())
    assert "unknown client: FDT of 4096 bytes, compatible 'pstore-kho-v1'" in line


@pytest.mark.parametrize("span, stays", [(Span.LINUX_JUMP, False), (Span.JUMP, True)])
def test_a_linux_writes_it_on_the_way_down(span: Span, stays: bool) -> None:
    snapshot = image_with(pstore(9)).snapshot()
    link = snapshot.handover.blob("/pstore-kho")
    assert link
    frames = pages_that_stay(snapshot, span).tolist()
    assert (link.blob.begin >> 12 in frames) is stays and frames


@settings(deadline=None)
@given(st.binary(max_size=HEAD))
def test_any_bytes(content: bytes) -> None:
    _ANY.image.ram.write(_PLACE, content.ljust(HEAD, b"\0"))
    violated(_ANY)
    client_lines(_ANY.snapshot())


_ANY = LuoImage()
_PLACE = _ANY.blob(b"")
_ANY.client("pstore-kho", _PLACE, 4096)
_ANY.finish()
