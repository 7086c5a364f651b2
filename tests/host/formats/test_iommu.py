# SPDX-License-Identifier: BSD-3-Clause
"""iommu-liveupdate: three chains of pages of objects."""

from __future__ import annotations

import struct
from typing import Callable

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.out.inspect.client_lines import client_lines


class Iommus:
    """Two pages of domains, one of IOMMUs, one of devices, which is empty."""

    def __init__(self) -> None:
        self.image = LuoImage()
        self.more = self.array(0, 2)
        self.domains = self.array(self.more, 5)
        self.iommus = self.array(0, 1)
        self.devices = self.array(0, 0)
        head = struct.pack("<QQQQ", 1, self.iommus, self.domains, self.devices)
        self.head = self.image.blob(head)
        self.image.flb("iommu-liveupdate", self.head)
        self.image.finish()

    def array(self, following: int, count: int) -> int:
        return self.image.blob(struct.pack("<QQ", following, count))

    def write(self, at: int, value: int) -> None:
        self.image.image.write_u64(at, value)


def test_the_chains() -> None:
    iommus = Iommus()
    assert violated(iommus.image) == {}
    snapshot = iommus.image.snapshot()
    text = "1 IOMMUs, 7 domains, 0 devices"
    name = "LUO shared state/iommu-liveupdate"
    assert f"LUO: shared state 'iommu-liveupdate' of 1 files, {text}" in client_lines(snapshot)
    assert snapshot.owners.owner(iommus.more >> 12) == f"{name} domains"
    assert {f"{name}{part}" for part in ("", " iommus", " devices")} <= set(snapshot.owners.names)


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda i: i.write(i.head, 2), "version 2, expected 1"),
        (
            lambda i: i.write(i.more, i.domains),
            "domains: array 2 is reached twice, or there are too many",
        ),
        (
            lambda i: i.write(i.devices, i.iommus),
            "devices: array 1 is reached twice, or there are too many",
        ),
        (lambda i: i.write(i.more, 8), "domains: an array does not begin a page"),
        (
            lambda i: i.write(i.iommus + 8, 511),
            "iommus: 511 objects in a page, expected at most 510",
        ),
    ],
)
def test_what_is_wrong(change: Callable[[Iommus], None], text: str) -> None:
    iommus = Iommus()
    change(iommus)
    assert violated(iommus.image)["KHR-I209"] == [text]


def test_a_page_that_is_not_preserved() -> None:
    iommus = Iommus()
    iommus.write(iommus.more, iommus.image.image.node())
    name = "LUO shared state/iommu-liveupdate domains"
    assert violated(iommus.image) == {"KHR-I069": [f"page of {name} is not preserved"]}


@settings(deadline=None)
@given(st.binary(max_size=32), st.binary(max_size=16))
def test_any_bytes(head: bytes, array: bytes) -> None:
    ram = _ANY.image.image.ram
    ram.write(_ANY.head, head.ljust(32, b"\0"))
    violated(_ANY.image)
    ram.write(_ANY.head, struct.pack("<QQQQ", 1, _ANY.iommus, _ANY.domains, _ANY.devices))
    ram.write(_ANY.domains, array.ljust(16, b"\0"))
    violated(_ANY.image)
    client_lines(_ANY.image.snapshot())


_ANY = Iommus()
