# SPDX-License-Identifier: BSD-3-Clause
"""Images of zstd frames as other writers make them, and damaged ones."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import zstandard

from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.source import FileSource
from khorig.mem.formats.zstd_image import ZstdImage
from khorig.vm.ram_file import RamFile
from khorig.vm.ram_image import save_ram_image

_SIZE = 300_000  # bytes of a frame: more than two blocks of zstd
_NOISE = np.random.default_rng(3).bytes(_SIZE)
_ONES = b"\1" * _SIZE  # blocks of one byte many times
_CONTENT = (_NOISE, _ONES, bytes(_SIZE), _NOISE[::-1], b"end")


def packed(content: bytes, write_checksum: bool = False) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_checksum=write_checksum).compress(content)


def opened(tmp_path: Path, raw: bytes) -> ZstdImage:
    path = tmp_path / "image"
    path.write_bytes(raw)
    return ZstdImage(path, FileSource(path))


@pytest.mark.parametrize("checksum", [False, True])
def test_frames_of_every_kind(tmp_path: Path, checksum: bool) -> None:
    raw = b"".join(packed(part, write_checksum=checksum) for part in _CONTENT)
    image = opened(tmp_path, raw)
    whole = b"".join(_CONTENT)
    assert image.size == len(whole)
    for begin, size in (
        (0, 1), (_SIZE - 1, 2), (2 * _SIZE - 5, 10), (3 * _SIZE - 1, _SIZE), (0, len(whole)),
        (len(whole) - 4, 4), (len(whole), 0),
    ):  # fmt: skip
        assert bytes(image.view(begin, size)) == whole[begin : begin + size], (begin, size)
    assert list(image.extents()) == [(0, 2 * _SIZE), (3 * _SIZE, _SIZE + 3)]
    with pytest.raises(ValueError):
        image.view(len(whole), 1)
    image.close()


@pytest.mark.parametrize("cut", [1, 3, 100, _SIZE // 2])
def test_an_image_that_is_cut(tmp_path: Path, cut: int) -> None:
    raw = packed(_NOISE) + packed(_NOISE, write_checksum=True)
    with pytest.raises(UnreadableDump):
        opened(tmp_path, raw[:-cut])


def test_a_damaged_frame_hides_only_itself(tmp_path: Path) -> None:
    first = packed(_NOISE[::-1])
    second = bytearray(packed(_ONES, write_checksum=True))
    second[-1] ^= 1  # in the checksum
    image = opened(tmp_path, first + second + packed(b"end"))
    assert bytes(image.view(0, _SIZE)) == _NOISE[::-1]
    for _ in range(2):
        with pytest.raises(ValueError, match="frame 1 is damaged"):
            image.view(_SIZE, 1)
    assert bytes(image.view(2 * _SIZE, 3)) == b"end"
    image.close()


def _written(folder: Path, content: bytes) -> Path:
    """An image as a run keeps it."""
    with RamFile(_SIZE * 4) as ram:
        os.pwrite(ram.descriptors[0], content, _SIZE)
        save_ram_image(ram, folder / "kept", {})
    return folder / "kept.ram.zst"


def test_flipped_bytes_of_a_kept_image_are_noticed(tmp_path: Path) -> None:
    """Content that zstd cannot compress is stored as it is: nothing but a checksum can tell."""
    path = _written(tmp_path, _NOISE)
    whole = path.read_bytes()
    chance = random.Random(1)
    for _ in range(200):
        damaged = bytearray(whole)
        for at in chance.sample(range(len(damaged)), 2):
            damaged[at] ^= 1 << chance.randrange(8)
        with pytest.raises((UnreadableDump, ValueError)):
            image = opened(tmp_path, bytes(damaged))
            assert image.size == 4 * _SIZE, "of another length"
            image.view(0, image.size)
            image.close()
