# SPDX-License-Identifier: BSD-3-Clause
"""Hands a live device over in an image, as khocore/abi/clients.h says it."""

from __future__ import annotations

import struct

import libfdt
from view.handover_image import PAGE, HandoverImage

OFFSET, SIZE = 0x400, 16
FUNCTION = 0x0118  # 01:03.0
REGISTERS = 0xF000_0000


def record(count: int) -> bytes:
    """What transfer number `count` writes."""
    return struct.pack("<QQ", count, count ^ (1 << 64) - 1)


def description(page: int, count: int = 0, **changes: int | bytes) -> bytes:
    """The blob; `changes` replace its fields."""
    fields: dict[str, int | bytes] = {
        "kind": b"edu",
        "function": FUNCTION,
        "bytes": SIZE,
        "registers": REGISTERS,
        "page": page,
        "bus_address": page,
        "offset": OFFSET,
        "count": count,
    }
    assert set(changes) <= set(fields)
    return struct.pack("<8sIIQQQQQ", *(fields | changes).values())


def live_page(image: HandoverImage, count: int = 0) -> int:
    """A preserved page with a record in other content."""
    content = bytearray(image.random.randbytes(PAGE))
    content[OFFSET : OFFSET + SIZE] = record(count)
    return image.preserved_page(bytes(content))


def add_live_device(image: HandoverImage, blob: bytes, name: str = "live-device") -> int:
    """Links the blob below the fragment of khorig, in place. Returns its address."""
    address = image.preserved_page(blob)
    for at, order in image.blocks:
        page = bytearray(image.ram.read(at, PAGE))
        if order or page[:4] != b"\xd0\x0d\xfe\xed" or libfdt.fdt_path_offset(page, "/log") < 0:
            continue
        node = libfdt.fdt_add_subnode(page, 0, name)
        libfdt.fdt_setprop(page, node, "blob-size", struct.pack("<Q", len(blob)), 8)
        libfdt.fdt_setprop(page, node, "preserved-data", struct.pack("<Q", address), 8)
        image.ram.write(at, bytes(page))
    return address


def iommu(tables: list[int], kind: bytes = b"vtd", **changes: int) -> bytes:
    """The blob of an IOMMU; `tables` have their orders in the low bits."""
    fields = {"registers": 0xFED9_0000, "root": tables[0] & ~0xFFF, "count": len(tables)}
    assert set(changes) <= set(fields)
    numbers = [*(fields | changes).values(), *tables, *[0] * (12 - len(tables))]
    return struct.pack("<8s15Q", kind, *numbers)
