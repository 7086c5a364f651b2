# SPDX-License-Identifier: BSD-3-Clause
"""Images of guest RAM as what changed since the one before."""

from __future__ import annotations

import io
import struct
from typing import Iterator

import numpy as np
import pytest

from khorig.mem.image_changes import GAMMA, MAGIC, PAGE, apply_changes, write_changes
from khorig.mem.untrusted import Untrusted

_PAGES = 3000  # more than what is compared at a time


class _Image:
    def __init__(self, data: bytes | bytearray) -> None:
        self._data = memoryview(bytes(data))
        self.size = len(data)

    def extents(self) -> Iterator[tuple[int, int]]:
        for at in range(0, self.size, PAGE):
            if any(self._data[at : at + PAGE]):
                yield at, PAGE

    def view(self, offset: int, size: int) -> memoryview:
        return self._data[offset : offset + size]

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


def _series(first: int) -> bytes:
    steps = np.arange(PAGE // 8, dtype=np.uint64) * np.uint64(GAMMA)
    return (np.uint64(first) + steps).tobytes()


def _images() -> list[bytearray]:
    random = np.random.default_rng(1)
    first = bytearray(_PAGES * PAGE)
    for page in range(5, 1500):
        first[page * PAGE : (page + 1) * PAGE] = _series(page << 40)
    first[2000 * PAGE : 2004 * PAGE] = random.bytes(4 * PAGE)
    second = bytearray(first)
    second[7 * PAGE + 8] ^= 1  # no series any more
    second[2001 * PAGE : 2002 * PAGE] = bytes(PAGE)
    second[2999 * PAGE : 3000 * PAGE] = _series(3)
    return [first, second, bytearray(second), bytearray(_PAGES * PAGE)]


def test_every_image_comes_back() -> None:
    image = io.BytesIO(bytes(_PAGES * PAGE))
    before = None
    pages = []
    sizes = []
    for data in _images():
        changes = io.BytesIO()
        pages.append(write_changes(changes, _Image(data), before))
        sizes.append(changes.tell())
        changes.seek(0)
        assert apply_changes(changes, image, len(data), _PAGES) == pages[-1]
        assert image.getvalue() == data
        before = _Image(data)
    assert pages == [1499, 3, 0, 1499]
    assert sizes[0] < 8 * PAGE and sizes[1] < 2 * PAGE and sizes[2] == 40


def _changes(*runs: tuple[int, int, int], data: bytes = b"", size: int = 8 * PAGE) -> bytes:
    rows = b"".join(struct.pack("<QQQ", *run) for run in runs)
    return MAGIC + struct.pack("<Q", size) + rows + data


@pytest.mark.parametrize(
    "data, why",
    [
        (b"", "cut off"),
        (b"KHRCHG02" + bytes(8), "no file of changes"),
        (MAGIC, "cut off"),
        (_changes(size=16 * PAGE), "changes of an image of 0x10000 bytes, expected 0x8000"),
        (_changes(), "cut off"),
        (_changes((0, 1, 2)), "cut off"),
        (_changes((0, 1, 1), data=b"1234567"), "cut off"),
        (_changes((0, 1, 3), data=bytes(PAGE)), "changes of kind 3"),
        (_changes((0, 1, 1 << 63)), "changes of kind"),
        (_changes((7, 2, 0)), "2 changed pages from 0x7 on, of 0x8"),
        (_changes(((1 << 64) - 1, 2, 0)), "2 changed pages from"),
        (_changes((0, (1 << 64) - 1, 0)), "more than 6 changed pages"),
        (_changes((4, 1, 0), (4, 1, 0)), "1 changed pages from 0x4 on"),
        (_changes((4, 1, 0), (3, 1, 0)), "1 changed pages from 0x3 on"),
        (_changes((0, 4, 0), (4, 3, 0)), "more than 6 changed pages"),
        (_changes((0, 0, 0), data=b"x"), "bytes after the last change"),
    ],
)
def test_damaged_changes_are_refused(data: bytes, why: str) -> None:
    image = io.BytesIO(b"\xaa" * 8 * PAGE)
    with pytest.raises(Untrusted, match=why):
        apply_changes(io.BytesIO(data), image, 8 * PAGE, 6)
    assert len(image.getvalue()) == 8 * PAGE
