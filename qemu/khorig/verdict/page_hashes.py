# SPDX-License-Identifier: BSD-3-Clause
"""One hash per page: what is kept of memory from one stop to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xxhash

from khorig.view.blocks import BoolArray, Int64Array
from khorig.view.layout import GEOMETRY_4K, Geometry
from khorig.view.memory import PhysicalMemory
from khorig.view.radix import Uint64Array


@dataclass(frozen=True, eq=False)
class PageHashes:
    """XXH64 with seed 0 of each page."""

    frames: Int64Array  # ascending, each once
    values: Uint64Array

    def differing(self, other: PageHashes) -> Int64Array:
        """The frames whose hashes differ. Both must be of the same frames."""
        changed: BoolArray = self.values != other.values
        return self.frames[changed]

    def of(self, frame: int) -> int:
        """The hash of one page. Raises KeyError."""
        at = int(np.searchsorted(self.frames, frame))
        if at == len(self.frames) or self.frames[at] != frame:
            raise KeyError(frame)
        return int(self.values[at])


def hash_pages(
    memory: PhysicalMemory, frames: Int64Array, geometry: Geometry = GEOMETRY_4K
) -> PageHashes:
    """Hashes pages, given by ascending frame number. Raises OutsideRam."""
    size = geometry.page_size
    digest = xxhash.xxh64_intdigest
    values: list[int] = []
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    for run in np.split(frames, cuts):
        if len(run):
            length = len(run) * size
            with memory.view(int(run[0]) << geometry.page_shift, length) as view:
                values += [digest(view[at : at + size]) for at in range(0, length, size)]
    return PageHashes(frames, np.array(values, dtype=np.uint64))
