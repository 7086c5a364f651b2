# SPDX-License-Identifier: BSD-3-Clause
"""pci-v2: the preserved devices, and what is wrong with the list."""

from __future__ import annotations

import struct

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.out.inspect.client_lines import client_lines
from khorig.out.inspect.meaning import meaning_lines

Devices = list[tuple[int, int, int]]
TWO: Devices = [(0, 0x0018, 1), (0, 0, 0), (2, 0x0100, 1), (0, 0, 0)]


def pci(devices: Devices, slots: int | None = None, count: int | None = None) -> bytes:
    used = sum(1 for device in devices if device[2]) if count is None else count
    head = struct.pack("<II", len(devices) if slots is None else slots, used)
    return head + b"".join(struct.pack("<IHH", *device) for device in devices)


def image_with(content: bytes) -> LuoImage:
    image = LuoImage()
    image.flb("pci-v2", image.blob(content), 2)
    return image.finish()


def test_the_devices() -> None:
    image = image_with(pci(TWO))
    assert violated(image) == {}
    snapshot = image.snapshot()
    text = "2 PCI devices in 4 slots, 0000:00:03.0, 0002:01:00.0"
    assert f"LUO: shared state 'pci-v2' of 2 files, {text}" in client_lines(snapshot)
    assert "LUO shared state/pci-v2" in snapshot.owners.names
    (client,) = [client for _, client in snapshot.decoded]
    lines = meaning_lines(snapshot, client.owned[0][1].begin)
    assert f"LUO shared state/pci-v2: {text}" in lines
    assert not len(snapshot.owners.unowned[0])


@pytest.mark.parametrize(
    "content, text",
    [
        (pci(TWO, count=1), "2 of 4 slots are used, expected 1"),
        (pci(TWO, count=3), "2 of 4 slots are used, expected 3"),
        (pci([(0, 24, 2)], count=1), "0000:00:03.0 is used 2 times, expected 0 or 1"),
        (pci([(0, 24, 1), (0, 24, 1)]), "0000:00:03.0 is there 2 times, expected 1"),
        (pci([], slots=1 << 17), "131072 slots, at most 65536 are read"),
    ],
)
def test_what_is_wrong(content: bytes, text: str) -> None:
    assert violated(image_with(content))["KHR-I201"] == [text]


def test_a_list_that_is_not_preserved() -> None:
    image = LuoImage()
    at = image.image.allocate()
    image.image.ram.write(at, pci(TWO))
    image.flb("pci-v2", at)
    assert violated(image.finish()) == {
        "KHR-I069": ["page of LUO shared state/pci-v2 is not preserved"]
    }


def test_a_list_outside_of_memory() -> None:
    image = LuoImage()
    image.flb("pci-v2", (1 << 64) - 8)
    assert list(violated(image.finish())) == ["KHR-I201"]


@settings(deadline=None)
@given(st.binary(max_size=128))
def test_any_bytes(content: bytes) -> None:
    _ANY.image.ram.write(_PLACE, content.ljust(4096, b"\0"))
    violated(_ANY)
    client_lines(_ANY.snapshot())


_ANY = LuoImage()
_PLACE = _ANY.blob(b"")
_ANY.flb("pci-v2", _PLACE)
_ANY.finish()
