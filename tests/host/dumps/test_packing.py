# SPDX-License-Identifier: BSD-3-Clause
"""Dumps that were compressed as a whole are looked into."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import os
import random
import struct
from pathlib import Path
from typing import Any, Callable, Mapping

import lz4.frame
import pytest
import zstandard
from dumps.dump_files import kdump_bytes, write_elf, write_raw
from view.handover_image import MIB, PAGE, RAM, HandoverImage, typical_image

from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats import UnreadableDump, open_dump, unpacked
from khorig.mem.formats.packing import packing_of


@functools.cache
def image() -> HandoverImage:
    made = typical_image()
    made.finish()
    return made


def _zstd_stream(content: bytes) -> bytes:
    """As `zstd` of a pipe: one frame that does not state its size."""
    sink = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(sink, closefd=False) as writer:
        writer.write(content)
    raw = sink.getvalue()
    assert zstandard.get_frame_parameters(raw).content_size == zstandard.CONTENTSIZE_UNKNOWN
    return raw


def _zstd_frames(content: bytes) -> bytes:
    """As pzstd: skippable frames, and frames behind them."""
    compress = zstandard.ZstdCompressor(level=1).compress
    half = len(content) // 2
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + bytes(4)
    return b"".join(skippable + compress(part) for part in (content[:half], content[half:]))


def _zstd_small_frames(content: bytes) -> bytes:
    """As a run keeps its images."""
    compress = zstandard.ZstdCompressor(level=1).compress
    step = 8 * MIB
    return b"".join(compress(content[at : at + step]) for at in range(0, len(content), step))


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.ZstdCompressor(level=1).compress,
    "zstd without size": _zstd_stream,
    "zstd, skippable": _zstd_frames,
    "zstd, small frames": _zstd_small_frames,
    "gzip": lambda content: gzip.compress(content, 1),
    "gzip of two": lambda c: gzip.compress(c[:MIB], 1) + gzip.compress(c[MIB:], 1),
    "xz": functools.partial(lzma.compress, preset=0),
    "xz of two": lambda c: lzma.compress(c[:MIB], preset=0) + bytes(8)
    + lzma.compress(c[MIB:], preset=0) + bytes(4),
    "bzip2": lambda content: bz2.compress(content, 1),
    "lz4": lz4.frame.compress,
}  # fmt: skip


@functools.cache
def content_of(format: str, folder: Path) -> bytes:
    path = folder / "plain"
    if format == "kdump":
        return kdump_bytes(image().ram, "arm64")
    {"ELF core": write_elf, "RAM image": write_raw}[format](path, image().ram, {"arch": "arm64"})
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain")


@pytest.mark.parametrize("packer", sorted(PACKERS))
@pytest.mark.parametrize("format", ["ELF core", "kdump", "RAM image"])
def test_what_is_inside(format: str, packer: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "vmcore.packed"
    path.write_bytes(PACKERS[packer](content_of(format, folder)))
    with open_dump(path, "virt" if format == "RAM image" else None) as dump:
        assert dump.format == f"{format}, {packer.split()[0].rstrip(',')}"
        assert dump.memory.ranges == (RAM,) and dump.arch == "arm64"
        found = find_snapshot(dump)
        assert found.chosen.address == image().root and found.chosen.state == "whole"
        assert bytes(dump.memory.view(image().root, PAGE)) == image().ram.read(image().root, PAGE)


@pytest.mark.parametrize("packer", sorted(PACKERS))
def test_a_packed_file_that_is_cut_off(packer: str, tmp_path: Path) -> None:
    raw = PACKERS[packer](kdump_bytes(image().ram, "arm64"))
    path = tmp_path / "file"
    for cut in (len(raw) // 2, len(raw) - 5):
        path.write_bytes(raw[:cut])
        with pytest.raises(UnreadableDump) as caught:
            open_dump(path)
        assert "\n" not in caught.value.why
        assert "cut off" in caught.value.why or "too short" in caught.value.why


@pytest.mark.parametrize("packer", sorted(PACKERS))
def test_a_packed_file_that_is_damaged(packer: str, tmp_path: Path) -> None:
    """Where the format has no checksum it may be content that is damaged."""
    raw = bytearray(PACKERS[packer](os.urandom(MIB)))
    path = tmp_path / "file"
    chance = random.Random(1)
    for at in (3, 5, 20, len(raw) // 2, len(raw) - 3, *chance.sample(range(len(raw)), 5)):
        damaged = raw.copy()
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            open_dump(path).memory.close()
        except UnreadableDump as error:
            assert "\n" not in error.why


@pytest.mark.parametrize("packer", sorted(PACKERS))
def test_what_is_no_dump_inside(packer: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for inside, why in (
        (b"QEVM".ljust(MIB, b"\0"), "QEMU migration stream"),
        (b"a log\n" * 999, "text"),
        (gzip.compress(b"x"), "gzip inside of .*: unpack it first"),
    ):
        if packer.startswith(("gzip of", "xz of")):
            inside = inside.ljust(4 * MIB, inside[-1:])
        path.write_bytes(PACKERS[packer](inside))
        with pytest.raises(UnreadableDump, match=why):
            open_dump(path)


def test_zeros_take_no_room(tmp_path: Path) -> None:
    """256 MiB of zeros with a page in the middle."""
    path = tmp_path / "image.gz"
    with gzip.open(path, "wb", 1) as file:
        for number in range(256):
            page = b"x" * PAGE if number == 128 else b""
            file.write(page.ljust(MIB, b"\0"))
    with open_dump(path, "q35") as dump:
        assert sum(area.size for area in dump.memory.data()) <= MIB
        assert bytes(dump.memory.view(128 * MIB, PAGE)) == b"x" * PAGE


class _FullDisk:
    f_bavail, f_frsize = 16, 4096


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(os.urandom(MIB)))
    monkeypatch.setattr(os, "statvfs", lambda folder: _FullDisk)
    with pytest.raises(UnreadableDump, match="no room to unpack it in .*; set TMPDIR"):
        open_dump(path)
    monkeypatch.undo()
    monkeypatch.setattr(unpacked, "MAX_SIZE", MIB // 2)
    with pytest.raises(UnreadableDump, match="more than 0x80000 bytes unpacked"):
        open_dump(path)


def test_progress_is_told_and_may_end_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(os.urandom(3 * MIB)))
    seen: list[tuple[int, int]] = []
    open_dump(path, "q35", lambda done, total: seen.append((done, total))).memory.close()
    size = path.stat().st_size
    assert seen[-1] == (size, size) and seen == sorted(seen) and len(seen) > 2

    def enough(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyboardInterrupt):
        open_dump(path, None, enough)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_not_packed() -> None:
    facts: Any = [packing_of(head) for head in (b"", b"\x1f\x8b", b"\x7fELF", b"BZ")]
    assert facts == [None] * 4
