# SPDX-License-Identifier: BSD-3-Clause
"""Page tables of x86_64 in the memory of a fake guest, written from the SDM: four levels, all RAM
1:1 by a page of 1 GiB."""

from __future__ import annotations

from typing import Any

from view.handover_image import PAGE, RAM, SCRATCH, HandoverImage

GIB = 1 << 30
# Behind everything that the tests allocate: topmost table, the one below, code, stack, source.
ROOT = RAM.end - 8 * PAGE
BELOW, CODE, STACK, SOURCE = (ROOT + number * PAGE for number in range(1, 5))
LEAF = BELOW + 8 * (RAM.begin // GIB)
_PRESENT_WRITABLE = 3
_PAGE = 1 << 7


def write_tables(image: HandoverImage) -> dict[str, Any]:
    """Writes them, and returns the field `tables` of the stop `sealed`."""
    assert not any(area.overlaps(ROOT, 8 * PAGE) for area in SCRATCH)
    image.ram.write(ROOT, bytes(2 * PAGE))
    image.write_u64(ROOT, BELOW | _PRESENT_WRITABLE)
    image.write_u64(LEAF, RAM.begin // GIB * GIB | _PAGE | _PRESENT_WRITABLE)
    pages = [["code", "rx", hex(CODE)], ["stack", "rw", hex(STACK)]]
    return {
        "root": hex(ROOT),
        "levels": 4,
        "format": "x86_64",
        "pages": pages,
        "sources": [["kernel", hex(SOURCE), hex(PAGE)]],
    }
