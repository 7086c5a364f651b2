# SPDX-License-Identifier: BSD-3-Clause
"""Handovers as Linux 6.16 to 7.0 wrote them, from the ABI text: kho-v1 with bitmaps."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Sequence

from dumps.sample import ImageMemory
from view.handover_image import MIB, PAGE, RAM, SCRATCH, FdtValue, HandoverImage, fdt_bytes

from khorig.mem.formats import Dump, RunFacts
from khorig.mem.memory import PhysRange

ORDERS = (0, 1, 3)


class BitmapImage(HandoverImage):
    """kho-v1 in place of kho-v4."""

    def __init__(
        self,
        bitmap_bytes: int,
        ram: Sequence[PhysRange] = (RAM,),
        scratch: Sequence[PhysRange] = SCRATCH,
    ) -> None:
        super().__init__(ram, scratch)
        self.bitmap_bytes = bitmap_bytes
        self.bitmaps: list[int] = []
        self.chunks: list[int] = []
        self._small = 0  # where the next small bitmap goes

    def bitmap(self) -> int:
        """Room for a bitmap; small ones share pages, as from a slab."""
        if self.bitmap_bytes == PAGE:
            at = self.node()
        else:
            if self._small % PAGE == 0:
                self._small = self.node() + 512  # slabs start with something else
            at, self._small = self._small, self._small + 512
        self.bitmaps.append(at)
        return at

    def write_chunks(self) -> int:
        """The chunks for `blocks`, one for each order, and their bitmaps."""
        by_order: dict[int, dict[int, list[int]]] = {}
        bits = self.bitmap_bytes * 8
        for address, order in self.blocks:
            unit = bits * (PAGE << order)
            first = address // unit * unit
            by_order.setdefault(order, {}).setdefault(first, []).append(
                (address - first) // (PAGE << order)
            )
        following = 0
        for order, ranges in by_order.items():
            entries = b""
            for first, numbers in ranges.items():
                at = self.bitmap()
                raw = bytearray(self.bitmap_bytes)
                for number in numbers:
                    raw[number // 8] |= 1 << number % 8
                self.ram.write(at, bytes(raw))
                entries += struct.pack("<QQ", first, at)
            chunk = self.node()
            self.ram.write(chunk, struct.pack("<QII", following, order, len(ranges)) + entries)
            self.chunks.append(chunk)
            following = chunk
        return following

    def finish_v1(self) -> int:
        """The root, with a client that points to a device tree by `fdt` alone."""
        sub = self.preserved_page(fdt_bytes({"compatible": "old-client"}, 1024))
        tree: dict[str, FdtValue] = {
            "compatible": "kho-v1",
            "preserved-memory-map": self.write_chunks(),
            "old": {"fdt": sub},
        }
        self.ram.write(self.root, fdt_bytes(tree))
        return self.root


def bitmap_dump(
    bitmap_bytes: int, count: int | None = None, shift: int = 0, only_low: bool = False
) -> Dump:
    """A dump of kho-v1. `count` replaces that of the first chunk, `shift` moves the first bitmap's
    first block; `only_low` leaves bits in the first 512 bytes of bitmaps alone."""
    image = BitmapImage(bitmap_bytes)
    for order in ORDERS:
        for _ in range(5):
            image.preserved_block(order)
    if not only_low:
        image.preserve(RAM.begin + 32 * MIB, 0)
    image.finish_v1()
    chunk = image.chunks[0]
    if count is not None:
        image.ram.write(chunk + 12, struct.pack("<I", count))
    if shift:
        image.write_u64(chunk + 16, image.ram.read_u64(chunk + 16) + shift)
    run = RunFacts(1, "sealed", None, None, SCRATCH)
    return Dump(Path("v1"), "test", ImageMemory(image), "arm64", "virt", 12, None, run)
