# SPDX-License-Identifier: BSD-3-Clause
"""Names and sizes of the wire format kho-v4 (Linux 7.2, include/linux/kho/abi/)."""

from __future__ import annotations

from dataclasses import dataclass

COMPATIBLE = "kho-v4"
COMPATIBLE_PROPERTY = "compatible"
MAP_PROPERTY = "preserved-memory-map"
DATA_PROPERTY = "preserved-data"
SIZE_PROPERTY = "blob-size"

# Links nested deeper than this are refused (docs/abi.md; khorig's rule, not Linux's).
MAX_FRAGMENT_DEPTH = 64


@dataclass(frozen=True)
class Geometry:
    """What follows from the page size: the shape of the radix tree and of lists of blocks.

    A key has its order bit at `order_0_bit - order` and the block's number below it. Tables hold
    a page of 64-bit addresses, leaves a page of bits.
    """

    page_shift: int

    @property
    def page_size(self) -> int:
        """Bytes."""
        return 1 << self.page_shift

    @property
    def order_0_bit(self) -> int:
        """The bit of a key that stands for order 0: as many as a 64-bit address has page bits."""
        return 64 - self.page_shift

    @property
    def table_log2(self) -> int:
        """Log2 of the slots of a table."""
        return self.page_shift - 3

    @property
    def bitmap_log2(self) -> int:
        """Log2 of the bits of a leaf."""
        return self.page_shift + 3

    @property
    def levels(self) -> int:
        """Levels of the tree, the leaf included: enough for `order_0_bit` and the bits below."""
        above_leaf = self.order_0_bit + 1 - self.bitmap_log2
        return -(-above_leaf // self.table_log2) + 1

    @property
    def chunk_entries(self) -> int:
        """Block addresses in one chunk page of a list of blocks, after the link to the next."""
        return self.page_size // 8 - 1

    @property
    def scratch_alignment(self) -> int:
        """Base and size of scratch areas are multiples of this: PAGE_SIZE * MAX_ORDER_NR_PAGES, of
        which Linux's configuration decides the second (arch/arm64/Kconfig: order 10, 11 at 16 KiB,
        13 at 64 KiB)."""
        return self.page_size << max(10, self.table_log2)

    def key(self, address: int, order: int) -> int:
        """The key of the block of 2^order pages at `address`."""
        return (1 << (self.order_0_bit - order)) | (address >> (self.page_shift + order))


GEOMETRY_4K = Geometry(12)
