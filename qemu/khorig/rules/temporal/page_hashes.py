# SPDX-License-Identifier: BSD-3-Clause
"""Page hashes, kept from one stop to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np
import xxhash

from khorig.kho.blocks import BoolArray, Int64Array
from khorig.kho.layout import Geometry
from khorig.kho.radix import Uint64Array
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import PhysicalMemory

_CHUNK = 256 << 10  # bytes hashed at a time


@dataclass(frozen=True, eq=False)
class PageHashes:
    """XXH64 (seed 0) of each page, as in the guest's ledger, and XXH3 of each run of adjacent
    pages: one call for many pages is several times faster."""

    frames: Int64Array  # ascending, each once
    values: Uint64Array  # parallel to `frames`
    runs: tuple[int, ...] = ()

    def select(self, mask: BoolArray) -> PageHashes:
        """The pages where `mask` (parallel to `frames`) is true, without runs."""
        return PageHashes(self.frames[mask], self.values[mask])

    def among(self, frames: Int64Array) -> PageHashes:
        """The pages in `frames`, without runs."""
        return self.select(np.isin(self.frames, frames))

    def differing(self, other: PageHashes) -> Int64Array:
        """Frames whose hashes differ. Both must have the same frames."""
        changed: BoolArray = self.values != other.values
        return self.frames[changed]

    def of(self, frame: int) -> int:
        """The hash of one page. Raises KeyError."""
        at = int(np.searchsorted(self.frames, frame))
        if at == len(self.frames) or self.frames[at] != frame:
            raise KeyError(frame)
        return int(self.values[at])


def _runs_of(
    memory: PhysicalMemory, frames: Int64Array, geometry: Geometry
) -> Iterator[memoryview]:
    """The bytes of each run of adjacent pages."""
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    for run in np.split(frames, cuts):
        if len(run):
            length = len(run) * geometry.page_size
            with memory.view(int(run[0]) << geometry.page_shift, length) as view:
                yield view


def hash_pages(memory: PhysicalMemory, frames: Int64Array, geometry: Geometry) -> PageHashes:
    """Hashes pages, given by ascending frame number. Raises OutsideRam."""
    size = geometry.page_size
    digest = xxhash.xxh64_intdigest
    values: list[int] = []
    runs: list[int] = []
    for view in _runs_of(memory, frames, geometry):
        values += [digest(view[at : at + size]) for at in range(0, len(view), size)]
        runs.append(xxhash.xxh3_64_intdigest(view))
    return PageHashes(frames, np.array(values, dtype=np.uint64), tuple(runs))


def are_unchanged(memory: PhysicalMemory, before: PageHashes, geometry: Geometry) -> bool:
    """Whether no page changed. Raises OutsideRam."""
    if not before.runs:
        return not len(before.differing(hash_pages(memory, before.frames, geometry)))
    now = tuple(map(xxhash.xxh3_64_intdigest, _runs_of(memory, before.frames, geometry)))
    return now == before.runs


@dataclass(frozen=True, eq=False)
class AllHashes:
    """Hashes of all of memory; pages that are not in `pages` are zero."""

    pages: PageHashes
    zero: int  # hash of a page of zeros

    def of(self, frames: Int64Array) -> PageHashes:
        """The hashes of some pages, given by ascending frame number."""
        values: Uint64Array = np.full(len(frames), self.zero, dtype=np.uint64)
        known = self.pages.frames
        if len(known):
            at = np.minimum(np.searchsorted(known, frames), len(known) - 1)
            found = known[at] == frames
            values[found] = self.pages.values[at[found]]
        return PageHashes(frames, values)


def hash_all(memory: DumpMemory, geometry: Geometry) -> AllHashes:
    """Hashes all of memory. Takes about a second for each GiB in use."""
    size, shift = geometry.page_size, geometry.page_shift
    digest = xxhash.xxh64_intdigest
    frames: list[int] = []
    values: list[int] = []
    for area in memory.data():
        first, last = -(-area.begin >> shift) << shift, area.end >> shift << shift
        for begin in range(first, last, _CHUNK):
            length = min(_CHUNK, last - begin)
            with memory.view(begin, length) as view:
                for at in _used_pages(view, size):
                    frames.append((begin >> shift) + at)
                    values.append(digest(view[at * size : (at + 1) * size]))
    found = PageHashes(np.array(frames, dtype=np.int64), np.array(values, dtype=np.uint64))
    return AllHashes(found, digest(bytes(size)))


def _used_pages(view: memoryview, size: int) -> list[int]:
    """Indices of the non-zero pages."""
    words = np.frombuffer(view, dtype=np.uint64)
    if not words.any():
        return []
    used: list[int] = np.flatnonzero(words.reshape(-1, size // 8).any(axis=1)).tolist()
    return used
