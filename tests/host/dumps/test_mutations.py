# SPDX-License-Identifier: BSD-3-Clause
"""Damaged dumps in every format: an answer in bounded time and memory, never a crash."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from dumps.bitmap_image import BitmapImage
from dumps.dump_files import WRITERS
from dumps.mutation import SEED, look_at, mutate, rounds_of
from dumps.sample import FRAME_TABLE, Sample
from view.handover_image import MIB, RAM, HandoverImage, add_metadata

from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange

# Beside the damages to what real kernels leave: their share, for what no kernel here leaves.
_VERSIONS = {"full": 0.04, "small": 0.02, "v1": 0.04}
_SMALL_RAM = PhysRange(RAM.begin, 16 * MIB)
_SMALL_SCRATCH = PhysRange(RAM.begin + 8 * MIB, 4 * MIB)


def _ram(version: str) -> tuple[GuestRam, dict[str, Any]]:
    facts: dict[str, Any] = {"generation": 1, "at": "sealed", "machine": "q35", "arch": "x86_64"}
    facts["scratch"] = [[hex(_SMALL_SCRATCH.begin), hex(_SMALL_SCRATCH.size)]]
    if version == "small":
        image = HandoverImage((_SMALL_RAM,), (_SMALL_SCRATCH,))
        add_metadata(image, 1)
        image.preserved_block(2)
        return image.ram, {**facts, "root": hex(image.finish())}
    if version == "v1":
        old = BitmapImage(512, (_SMALL_RAM,), (_SMALL_SCRATCH,))
        for order in (0, 0, 1, 4):
            old.preserved_block(order)
        return old.ram, {**facts, "root": hex(old.finish_v1())}
    sample = Sample().finish()
    table = {"table": hex(FRAME_TABLE), "first": RAM.begin >> 12, "count": RAM.size >> 12}
    return sample.image.ram, {**facts, "root": hex(sample.image.root), "frames": table}


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("format", sorted(WRITERS))
def test_mutations(format: str, version: str, tmp_path: Path) -> None:
    rng = random.Random(f"{SEED}/{format}/{version}")
    ram, facts = _ram(version)
    path = tmp_path / format
    WRITERS[format](path, ram, facts)
    # The sample lies where virt has its RAM, whatever the rest of it says.
    rounds = rounds_of(WRITERS, format, _VERSIONS[version])
    mutate(path, rounds, rng, "virt" if format == "image" else None)


def test_files_that_are_cut_off(tmp_path: Path) -> None:
    ram, facts = _ram("full")
    rng = random.Random(SEED)
    for format, write in WRITERS.items():
        path = tmp_path / format
        write(path, ram, facts)
        size = path.stat().st_size
        places = sorted({rng.randrange(size) for _ in range(15)} | {1, 63, 600}, reverse=True)
        for place in places:
            os.truncate(path, place)
            look_at(path, True)
