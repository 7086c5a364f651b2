# SPDX-License-Identifier: BSD-3-Clause
"""An image of guest RAM as what changed since another image, or since memory of zeros.

A file of changes is MAGIC, the bytes of the image (u64), then runs of pages: first page, pages and
kind (three u64, little-endian), and the data of that kind. A run of no pages ends it. A page of a
scenario is a series: word i is the first word plus i * GAMMA (docs/abi.md, "Random numbers"), so
its first word says all of it.
"""

from __future__ import annotations

import enum
import struct
from typing import BinaryIO, Iterator

import numpy as np
import numpy.typing as npt

from khorig.mem.formats.source import Source
from khorig.mem.untrusted import Untrusted

MAGIC = b"KHRCHG01"
PAGE = 4096  # bytes; of the format, not of the guest
GAMMA = 0x9E3779B97F4A7C15

_WORDS = PAGE // 8
_STEPS = np.arange(_WORDS, dtype=np.uint64) * np.uint64(GAMMA)
_CHUNK = 4 << 20  # bytes compared at a time
_SIZE = struct.Struct("<Q")
_RUN = struct.Struct("<QQQ")

Words = npt.NDArray[np.uint64]


class Kind(enum.IntEnum):
    """What is stored of each page of a run."""

    ZEROS = 0  # nothing
    SERIES = 1  # its first word
    BYTES = 2  # all of it


def write_changes(sink: BinaryIO, image: Source, before: Source | None = None) -> int:
    """Writes what `image` has that `before`, of the same size, has not; `before` is memory of zeros
    where there is none. Returns the number of pages. Raises ValueError for an image that is damaged
    or not whole pages, OSError."""
    if image.size % PAGE or (before is not None and before.size != image.size):
        raise ValueError(f"an image of {image.size:#x} bytes")
    sink.write(MAGIC + _SIZE.pack(image.size))
    pages = 0
    for begin, end in _chunks(image, before):
        mine = _words(image, begin, end)
        theirs = np.zeros_like(mine) if before is None else _words(before, begin, end)
        pages += _write_chunk(sink, begin // PAGE, mine, theirs)
    sink.write(_RUN.pack(0, 0, 0))
    return pages


def apply_changes(source: BinaryIO, image: BinaryIO, size: int, most: int) -> int:
    """Writes the changes into `image`, a file of `size` bytes with what was there before. Returns
    the number of pages. Reads anything: raises Untrusted for what is no file of changes of such an
    image, and for more than `most` pages of changes, before any of that is written."""
    if _read(source, len(MAGIC)) != MAGIC:
        raise Untrusted("no file of changes")
    (stated,) = _SIZE.unpack(_read(source, _SIZE.size))
    if stated != size:
        raise Untrusted(f"changes of an image of {stated:#x} bytes, expected {size:#x}")
    reached = pages = 0
    while True:
        first, count, kind = _RUN.unpack(_read(source, _RUN.size))
        if count == 0:
            break
        pages += count
        if pages > most:
            raise Untrusted(f"more than {most} changed pages")
        if first < reached or first + count > size // PAGE:
            raise Untrusted(f"{count} changed pages from {first:#x} on, of {size // PAGE:#x}")
        reached = first + count
        _apply_run(source, image, first, count, kind)
    if source.read(1):
        raise Untrusted("bytes after the last change")
    return pages


def _apply_run(source: BinaryIO, image: BinaryIO, first: int, count: int, kind: int) -> None:
    if kind not in tuple(Kind):
        raise Untrusted(f"changes of kind {kind}")
    for at in range(first, first + count, _CHUNK // PAGE):
        pages = min(_CHUNK // PAGE, first + count - at)
        if kind == Kind.ZEROS:
            data = bytes(pages * PAGE)
        elif kind == Kind.BYTES:
            data = _read(source, pages * PAGE)
        else:
            firsts = np.frombuffer(_read(source, pages * 8), dtype="<u8")
            data = (firsts[:, None] + _STEPS).tobytes()
        image.seek(at * PAGE)
        image.write(data)


def _read(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise Untrusted("the changes are cut off")
    return data


def _write_chunk(sink: BinaryIO, first: int, mine: Words, theirs: Words) -> int:
    changed = (mine != theirs).any(axis=1)
    kinds = np.full(len(mine), -1)
    kinds[changed] = Kind.BYTES
    kinds[changed & (mine == mine[:, :1] + _STEPS).all(axis=1)] = Kind.SERIES
    kinds[changed & ~mine.any(axis=1)] = Kind.ZEROS
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1), len(kinds)]
    for begin, end in zip(edges, edges[1:]):
        kind = int(kinds[begin])
        if kind < 0:
            continue
        sink.write(_RUN.pack(first + int(begin), int(end - begin), kind))
        if kind == Kind.SERIES:
            sink.write(mine[begin:end, 0].tobytes())
        elif kind == Kind.BYTES:
            sink.write(mine[begin:end].tobytes())
    return int(changed.sum())


def _words(image: Source, begin: int, end: int) -> Words:
    return np.frombuffer(image.view(begin, end - begin), dtype="<u8").reshape(-1, _WORDS)


def _chunks(image: Source, before: Source | None) -> Iterator[tuple[int, int]]:
    """Pieces of both images, of whole pages, that are not zeros in both of them."""
    extents = [*image.extents(), *(before.extents() if before is not None else ())]
    areas: list[tuple[int, int]] = []
    for offset, size in sorted(extents):
        begin = offset - offset % PAGE
        end = min(-(-(offset + size) // PAGE) * PAGE, image.size)
        if areas and begin <= areas[-1][1]:
            begin, reached = areas.pop()
            end = max(end, reached)
        areas.append((begin, end))
    for begin, end in areas:
        for at in range(begin, end, _CHUNK):
            yield at, min(at + _CHUNK, end)
