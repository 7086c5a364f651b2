# SPDX-License-Identifier: BSD-3-Clause
"""Images of LiME and of AVML."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from dumps.dump_files import write_lime
from dumps.sample import Sample
from view.handover_image import PAGE

from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats import UnreadableDump, open_dump
from khorig.mem.memory import PhysRange
from khorig.rules.check import check, is_broken


def test_a_handover_in_lime(tmp_path: Path) -> None:
    sample = Sample().finish()
    path = tmp_path / "memory.lime"
    write_lime(path, sample.image.ram, {})
    with open_dump(path) as dump:
        assert dump.format == "LiME image" and dump.arch is None
        ram = sample.image.ram
        assert dump.memory.ranges == tuple(PhysRange(r.gpa, r.size) for r in ram.regions)
        found = find_snapshot(dump)
        assert found.arch == "x86_64" and found.chosen.state == "whole"
        assert found.scratch == tuple(sample.scratch) and not is_broken(check(found))


def _range(first: int, last: int, content: bytes, version: int = 1) -> bytes:
    return struct.pack("<4sIQQ8x", b"EMiL", version, first, last) + content


@pytest.mark.parametrize(
    "second, why",
    [
        (b"EMiL", "file too short"),
        (_range(PAGE, 2 * PAGE, bytes(PAGE)), "cut off"),
        (_range(PAGE, 2 * PAGE - 1, bytes(PAGE), 3), "version 3"),
        (_range(PAGE, PAGE - 1, b""), "LiME range"),
        (_range(0, (1 << 64) - 1, bytes(PAGE)), "cut off"),
        (bytes(32), "magic"),
        (_range(1 << 60, (1 << 60) + 4095, bytes(PAGE)), "invalid range of memory"),
    ],
    ids=["header", "range", "version", "reversed", "all", "magic", "address"],
)
def test_damage(second: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.lime"
    path.write_bytes(_range(0, PAGE - 1, bytes(PAGE)) + second)
    with pytest.raises(UnreadableDump, match=why):
        open_dump(path)
