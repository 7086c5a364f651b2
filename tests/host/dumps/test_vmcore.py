# SPDX-License-Identifier: BSD-3-Clause
"""Cores as Linux makes them of itself, and as makedumpfile makes them smaller.

Their layout is that of a /proc/vmcore of Linux 7.3 on x86_64, which panicked after a handover.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Sequence

import pytest
from dumps.dump_files import kdump_bytes, used_pages
from dumps.sample import Sample, broken
from view.handover_image import MIB, PAGE, RAM, SCRATCH

from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats import kdump, open_dump
from khorig.mem.memory import LeftOut, OutsideRam, PhysRange
from khorig.rules.outcome import Status

_VMCOREINFO = b"OSRELEASE=7.3.4\nBUILD-ID=0123\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff81c0\n"
_STATUS = bytes(0x150)  # struct elf_prstatus of x86_64
_LINEAR_MAP = 0xFF11_0000_0000_0000  # of five levels of page tables
_TEXT_MAP = 0xFFFF_FFFF_8100_0000
_TEXT = PhysRange(RAM.begin + 2 * MIB, MIB)
_CRASH_KERNEL = PhysRange(SCRATCH[1].begin + 2 * MIB, 4 * MIB)
_FROM_QEMU = b"QEMU"


def pieces_around(hole: PhysRange) -> list[PhysRange]:
    """RAM but for what belongs to the crash kernel; there is nothing below 1 MiB."""
    return [
        PhysRange(RAM.begin, hole.begin - RAM.begin),
        PhysRange(hole.end, RAM.end - hole.end),
    ]


def note(name: bytes, kind: int, content: bytes) -> bytes:
    padded = (name + b"\0").ljust(-(-(len(name) + 1) // 4) * 4, b"\0")
    head = struct.pack("<III", len(name) + 1, len(content), kind)
    return head + padded + content.ljust(-(-len(content) // 4) * 4, b"\0")


def write_vmcore(
    path: Path, s: Sample, pieces: Sequence[PhysRange], lacking: int = 0, by: bytes = b""
) -> None:
    """One note per CPU, then vmcoreinfo; the kernel's text first, which is in the linear map again.
    Of each piece the last `lacking` bytes are not in the file."""
    notes = note(b"CORE", 1, _STATUS) * 2 + (note(by, 0, bytes(440)) if by else b"")
    notes += note(b"VMCOREINFO", 0, _VMCOREINFO)
    loads = [(_TEXT, _TEXT_MAP)] + [(piece, _LINEAR_MAP + piece.begin) for piece in pieces]
    head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1 + len(loads), 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 4, 0, PAGE, 0, 0, len(notes), len(notes), 4)
    with path.open("wb") as file:
        at = 2 * PAGE
        for load, address in loads:
            size = load.size - (lacking if load is not _TEXT else 0)
            head += struct.pack("<IIQQQQQQ", 1, 7, at, address, load.begin, size, load.size, 0)
            os.pwrite(file.fileno(), s.image.ram.read(load.begin, size), at)
            at += size
        os.pwrite(file.fileno(), head.ljust(PAGE, b"\0") + notes, 0)


@pytest.fixture
def sample() -> Sample:
    return Sample().finish()


def test_a_vmcore_is_the_handover_that_memory_has(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    pieces = pieces_around(_CRASH_KERNEL)
    # What loading the crash kernel leaves in the kernel's own memory: it is handed nothing over.
    sample.image.ram.write(RAM.end - PAGE, struct.pack("<QII", 0, 10, 32) + bytes(32))
    write_vmcore(path, sample, pieces)
    with open_dump(path) as dump:
        assert dump.memory.ranges == tuple(pieces)
        assert (dump.arch, dump.release, dump.page_shift) == ("x86_64", "7.3.4", 12)
        found = find_snapshot(dump)
        assert found.chosen.address == sample.image.root and found.chosen.state == "whole"
        assert [c.address for c in found.candidates] == [sample.image.root]
        assert found.scratch == SCRATCH
        assert bytes(dump.memory.view(_TEXT.begin - 5, 10)) == sample.image.ram.read(
            _TEXT.begin - 5, 10
        )
        assert not broken(dump)


def test_scratch_may_lack_the_crash_kernel_alone(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    write_vmcore(path, sample, pieces_around(SCRATCH[1]))
    with open_dump(path) as dump:
        assert broken(dump) == {"KHR-I063": Status.FAILED}
    write_vmcore(path, sample, pieces_around(_CRASH_KERNEL), by=_FROM_QEMU)  # has all of RAM
    with open_dump(path) as dump:
        assert broken(dump) == {"KHR-I063": Status.FAILED}


def test_pages_that_makedumpfile_left_out_of_a_core(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    pieces = [PhysRange(RAM.begin, 8 * MIB), PhysRange(RAM.begin + 16 * MIB, 48 * MIB)]
    write_vmcore(path, sample, pieces, lacking=4 * MIB)
    with open_dump(path) as dump:
        assert dump.memory.ranges == tuple(pieces)
        with pytest.raises(LeftOut):
            dump.memory.view(RAM.begin + 4 * MIB - 1, 2)
        with pytest.raises(LeftOut):
            dump.memory.view(RAM.begin + 7 * MIB, PAGE)
        with pytest.raises(OutsideRam) as caught:
            dump.memory.view(RAM.begin + 8 * MIB - 1, 2)
        assert caught.value.problem.id == "outside-ram"


def test_a_kdump_that_lacks_pages_is_not_broken(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "kdump"
    lost = sample.test_folios[1][0] >> 12
    path.write_bytes(kdump_bytes(sample.image.ram, "x86_64", level=31, left_out={lost}))
    with open_dump(path) as dump:
        with pytest.raises(LeftOut):
            dump.memory.view(lost << 12, 1)
        # What cannot be read has no owner either.
        assert broken(dump) == {"KHR-I070": Status.WARNING, "KHR-I071": Status.WARNING}
    path.write_bytes(kdump_bytes(sample.image.ram, "x86_64", level=1, left_out={lost}))
    with open_dump(path) as dump:  # what is missing in such a dump was zero
        assert broken(dump) == {"KHR-I060": Status.FAILED}


@pytest.mark.parametrize("most", [1 << 18, 100])
def test_a_kdump_in_many_pieces(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """What is free on a busy machine is everywhere; told apart or not, the rest is found."""
    monkeypatch.setattr(kdump, "_MAX_PIECES", most)
    kept = used_pages(sample.image.ram).keys()
    frames = range(RAM.begin >> 12, RAM.end >> 12, 2)
    path = tmp_path / "kdump"
    left_out = {frame for frame in frames if frame not in kept}
    assert len(left_out) > 4096  # no two of them touch
    path.write_bytes(kdump_bytes(sample.image.ram, "x86_64", 1, level=31, left_out=left_out))
    with open_dump(path) as dump:
        found = find_snapshot(dump)
        assert found.chosen.address == sample.image.root and found.chosen.state == "whole"
        assert found.scratch == SCRATCH and not broken(dump)
