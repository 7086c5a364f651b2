# SPDX-License-Identifier: BSD-3-Clause
"""kdump files: pages that are left out, pages that share their bytes, and bitmaps in many parts."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from dumps.dump_files import kdump_bytes
from view.handover_image import MIB, PAGE

from khorig.mem.formats import kdump, open_dump
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import LeftOut, PhysRange

_PAGES = 1024


@pytest.fixture
def ram() -> GuestRam:
    """4 MiB of noise."""
    made = GuestRam(memoryview(bytearray(4 * MIB)), [RamRegion(0, 4 * MIB, 0)])
    made.write(0, np.random.default_rng(5).bytes(4 * MIB))
    return made


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "kdump"
    path.write_bytes(content)
    return path


def test_a_long_view_over_a_page_that_was_left_out(ram: GuestRam, tmp_path: Path) -> None:
    lost = 300
    content = kdump_bytes(ram, "x86_64", level=31, left_out={lost})
    with open_dump(written(tmp_path, content)) as dump:
        with pytest.raises(LeftOut):
            dump.memory.view(200 * PAGE, 200 * PAGE)
        assert bytes(dump.memory.view(301 * PAGE, 200 * PAGE)) == ram.read(301 * PAGE, 200 * PAGE)
    content = kdump_bytes(ram, "x86_64", level=1, left_out={lost})
    with open_dump(written(tmp_path, content)) as dump:  # it was zero
        expected = bytearray(ram.read(200 * PAGE, 200 * PAGE))
        expected[100 * PAGE : 101 * PAGE] = bytes(PAGE)
        assert bytes(dump.memory.view(200 * PAGE, 200 * PAGE)) == expected


def test_pages_that_share_their_bytes_are_data_unless_they_are_zero(
    ram: GuestRam, tmp_path: Path
) -> None:
    content = bytearray(kdump_bytes(ram, "x86_64", 0))
    table = (2 + struct.unpack_from("<I", content, 436)[0]) * PAGE
    same = content[table : table + 24]
    for frame in range(100, 400):
        content[table + 24 * frame : table + 24 * frame + 24] = same
    with open_dump(written(tmp_path, bytes(content))) as dump:
        assert list(dump.memory.data()) == [PhysRange(0, 4 * MIB)]
        assert bytes(dump.memory.view(399 * PAGE, PAGE)) == ram.read(0, PAGE)
    ram.write(100 * PAGE, bytes(300 * PAGE))
    with open_dump(written(tmp_path, kdump_bytes(ram, "x86_64"))) as dump:
        assert list(dump.memory.data()) == [
            PhysRange(0, 100 * PAGE), PhysRange(400 * PAGE, (_PAGES - 400) * PAGE)
        ]  # fmt: skip


@pytest.mark.parametrize("scan_bytes, scan_pages", [(16, 128), (8, 64), (1, 8), (24, 192)])
def test_bitmaps_that_are_looked_at_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_bytes: int, scan_pages: int
) -> None:
    monkeypatch.setattr(kdump, "_SCAN_BYTES", scan_bytes)
    monkeypatch.setattr(kdump, "_SCAN_PAGES", scan_pages)
    regions = [RamRegion(0, MIB, 0), RamRegion(MIB + 64 * PAGE, 2 * MIB, MIB)]
    ram = GuestRam(memoryview(bytearray(3 * MIB)), regions)
    for page in (0, 63, 64, 65, 200, 255):
        ram.write(page * PAGE, b"low")
    for page in (0, 63, 128, 400):
        ram.write(MIB + (64 + page) * PAGE, b"high")
    with open_dump(written(tmp_path, kdump_bytes(ram, "x86_64"))) as dump:
        assert dump.memory.ranges == tuple(PhysRange(r.gpa, r.size) for r in regions)
        assert list(dump.memory.data()) == [
            PhysRange(page * PAGE, count * PAGE)
            for page, count in (
                (0, 1), (63, 3), (200, 1), (255, 1), (320, 1), (383, 1), (448, 1), (720, 1)
            )
        ]  # fmt: skip
        assert bytes(dump.memory.view(MIB + 464 * PAGE, 4)) == b"high"
