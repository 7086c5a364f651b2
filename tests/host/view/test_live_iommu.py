# SPDX-License-Identifier: BSD-3-Clause
"""An IOMMU that stays on is decoded, and its tables are walked, whatever is in memory."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from view.handover_image import PAGE, HandoverImage, typical_image
from view.live_device_image import add_live_device, iommu
from view.test_live_device import read

from khorig.kho.clients.iommu_tables import walked_tables
from khorig.kho.clients.live_device import LiveIommu, decode_live_iommu
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange


def put(image: HandoverImage, table: int, words: dict[int, int]) -> None:
    for index, word in words.items():
        image.ram.write(table + 8 * index, struct.pack("<Q", word))


def levels(image: HandoverImage, bits: int) -> list[int]:
    """Three tables, each with one entry, the last of which names a page."""
    tables = [image.preserved_page() for _ in range(3)]
    for number, (table, below) in enumerate(zip(tables, [*tables[1:], 0x7000])):
        put(image, table, {17 + number: below | bits})
    return tables


def test_it_is_decoded_with_its_tables() -> None:
    image = typical_image()
    large, small = image.preserved_block(2), image.preserved_page()
    add_live_device(image, iommu([large | 2, small], b"smmuv3"), "live-iommu")
    clients, owners = read(image)
    live = clients.iommu
    assert live is not None and clients.problems == ()
    assert (live.kind, live.registers, live.root) == ("smmuv3", 0xFED9_0000, large)
    assert live.tables == (PhysRange(large, 4 * PAGE), PhysRange(small, PAGE))
    assert owners.name(large // PAGE + 3) == "tables of smmuv3 page 3"
    assert owners.name(small // PAGE) == "tables of smmuv3"


def test_tables_must_be_preserved() -> None:
    image = typical_image()
    table = image.allocate()
    add_live_device(image, iommu([table]), "live-iommu")
    strays = read(image)[1].strays
    assert [(stray.frame, stray.owner) for stray in strays] == [(table // PAGE, "tables of vtd")]


@pytest.mark.parametrize(
    "blob, text",
    [
        (iommu([0x40010000])[:-1], "127 bytes, expected 128"),
        (iommu([0x40010000], b"amd"), "kind"),
        (iommu([0x40010000], count=0), "0 tables, expected 1 to 12"),
        (iommu([0x40010000], count=13), "13 tables, expected 1 to 12"),
        (iommu([0x4001000B]), "no block of an order up to 10"),
        (iommu([0x40011002]), "no block of an order up to 10"),
        (iommu([0x40010000], root=0x40011000), "root 0x0000000040011000 is not the first table"),
    ],
)
def test_what_cannot_be_is_a_problem(blob: bytes, text: str) -> None:
    image = typical_image()
    add_live_device(image, blob, "live-iommu")
    (problem,) = read(image)[0].problems
    assert (problem.id, problem.subject) == ("live-iommu", "live IOMMU")
    assert text in problem.text


def walk(image: HandoverImage, kind: str, root: int) -> list[int]:
    return list(walked_tables(image.memory, LiveIommu(kind, 0, root, ())))


def test_vtd_is_walked() -> None:
    image = HandoverImage()
    root, contexts = image.preserved_page(), image.preserved_page()
    first, second = levels(image, 3), levels(image, 3)
    put(image, root, {2 * 5: contexts | 1, 2 * 6: 0x123000, 2 * 7 + 1: 0xFFF001})
    put(image, contexts, {0: first[0] | 1, 1: 0x101, 2 * 200: second[0] | 1, 2 * 201: 0x5000})
    assert walk(image, "vtd", root) == [root, contexts, *first, *second]


def test_smmu_is_walked() -> None:
    image = HandoverImage()
    root, context = image.preserved_block(2), image.preserved_page()
    image.ram.write(root, bytes(4 * PAGE))
    tables = levels(image, 3)
    put(image, root, {8 * 255: context | 0xB, 8 * 3: 0x9000, 8 * 4 + 1: 0xFFF001})
    put(image, context, {0: 1 << 31, 1: tables[0]})
    put(image, tables[0], {40: 0x80000001})  # a block of 1 GiB
    pages = [root + page * PAGE for page in range(4)]
    assert walk(image, "smmuv3", root) == [*pages, context, *tables]


def test_a_cycle_ends() -> None:
    image = HandoverImage()
    table = image.preserved_page(struct.pack("<512Q", *([image.root + 0] * 512)))
    for index in range(512):
        put(image, table, {index: table | 1})
    assert len(walk(image, "vtd", table)) == 4096


@given(st.binary(min_size=128, max_size=128), st.binary(min_size=64, max_size=64))
def test_any_bytes_are_an_error_or_tables(blob: bytes, table: bytes) -> None:
    image = HandoverImage()
    at, root = image.preserved_page(blob), image.preserved_page(table)
    for kind in (b"vtd", b"smmuv3"):
        for content in (blob, iommu([root], kind)):
            image.ram.write(at, content)
            with contextlib.suppress(DecodeError):
                live = decode_live_iommu(image.memory, PhysRange(at, 128), GEOMETRY_4K)
                list(walked_tables(image.memory, live))
