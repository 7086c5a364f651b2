# SPDX-License-Identifier: BSD-3-Clause
"""1 GiB of RAM with 100,000 preserved blocks, the same each time."""

from __future__ import annotations

import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
from dumps.dump_files import write_described, write_elf, write_kdump, write_packed
from view.handover_image import MIB, PAGE, FdtValue, HandoverImage, add_metadata

from khorig.mem.memory import PhysRange

BEGIN = 1 << 30
GIB = 1 << 30
BLOCKS = 100_000
SCRATCH = PhysRange(BEGIN + 64 * MIB, 64 * MIB)
_RAM = PhysRange(BEGIN, GIB)
_ORDERS = (0, 0, 0, 0, 1, 1, 2)
_WRITERS = {
    "a.ram": write_described, "a.ram.zst": write_packed, "a.core": write_elf, "a.kdump": write_kdump
}  # fmt: skip


def build() -> HandoverImage:
    """The blocks hold random bytes and are listed in a store as khorig's scenario `handover`
    does."""
    image = HandoverImage((_RAM,), (SCRATCH,))
    chance = random.Random(1)
    blocks = []
    for _ in range(BLOCKS):
        order = chance.choice(_ORDERS)
        at = image.allocate(order)
        image.preserve(at, order)
        blocks.append(at | order)
    noise = np.random.default_rng(1)
    end = (blocks[-1] & -PAGE) + 4 * PAGE
    for at in range(BEGIN + PAGE, end, 16 * MIB):  # the first page is the root
        image.ram.write(at, noise.bytes(min(16 * MIB, end - at)))
    image.ram.write(SCRATCH.begin, bytes(SCRATCH.size))
    add_metadata(image, 1)
    raw = struct.pack(f"<{len(blocks)}Q", *blocks)
    pages = [image.preserved_page(raw[at : at + PAGE]) for at in range(0, len(raw), PAGE)]
    store: FdtValue = {
        "compatible": "khorig-store-v1", "vmalloc": image.vmalloc(pages), "size": len(raw)
    }  # fmt: skip
    stores = image.fragment({"compatible": "khorig-stores-v1", "blocks": store})
    khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(khorig)
    image.finish()
    return image


def describe(image: HandoverImage) -> dict[str, Any]:
    """What a run would say about it."""
    return {
        "arch": "arm64", "machine": "virt", "generation": 1, "at": "sealed",
        "root": hex(image.root), "scratch": [[hex(SCRATCH.begin), hex(SCRATCH.size)]],
    }  # fmt: skip


def write_all(folder: Path) -> None:
    """The image in four formats: a.ram, a.ram.zst, a.core, a.kdump; b.* with a byte of a preserved
    page changed and 16 MiB of scratch; copy.ram; and wide.ram, the same in 64 GiB of RAM."""
    image = build()
    facts = describe(image)
    for name, write in _WRITERS.items():
        write(folder / name, image.ram, facts)
    write_described(folder / "copy.ram", image.ram, facts)
    write_described(folder / "wide.ram", image.ram, facts)
    _widen(folder / "wide.ram")
    at, _ = image.blocks[BLOCKS // 2]
    image.ram.write(at + 100, b"changed")
    image.ram.write(SCRATCH.begin, np.random.default_rng(2).bytes(16 * MIB))
    facts.update(generation=2, at="entry")
    for name, write in list(_WRITERS.items())[:3]:
        write(folder / name.replace("a", "b", 1), image.ram, facts)


def _widen(path: Path) -> None:
    beside = path.with_suffix(".json")
    description: dict[str, Any] = json.loads(beside.read_text())
    size = 64 * GIB
    description.update(size=size, ram_map=[[hex(BEGIN), hex(size), "0x0"]])
    os.truncate(path, size)
    beside.write_text(json.dumps(description))
