# SPDX-License-Identifier: BSD-3-Clause
"""A handover in the memory of the kernel that has just sealed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from khorig.run.tamper.target import CannotTamper, Target


@dataclass(frozen=True, eq=False)
class SealedTarget(Target):
    """The kernel still uses pages around its preserved blocks."""

    def spare_pages(self) -> Iterator[int]:
        """Addresses of free pages, zeroed: from the middle of the widest piece of RAM in which
        nothing is preserved, upwards, far from what a kernel uses. Raises CannotTamper."""
        begin, end = max(self._gaps(), key=lambda gap: gap[1] - gap[0], default=(0, 0))
        size = self.geometry.page_size
        middle = (begin + end) // 2 & ~((size << self.geometry.bitmap_log2 // 2) - 1)
        for page in range(middle, end, size):
            if page < begin:
                continue
            if np.frombuffer(self.ram.read(page, size), dtype="<u8").any():
                self.ram.write(page, bytes(size))
            yield page
        raise CannotTamper("no free page")

    def _gaps(self) -> Iterator[tuple[int, int]]:
        shift, blocks = self.geometry.page_shift, self.handover.blocks
        ends = blocks.frames + blocks.counts
        used = list(zip((blocks.frames << shift).tolist(), (ends << shift).tolist()))
        used += [(node.address, node.address + 1) for node in self.handover.tree.nodes]
        used += [(area.begin, area.end) for area in self.scratch]
        for area in self.ranges:
            at = area.begin
            for begin, end in sorted(u for u in used if area.contains(u[0], 1)):
                if begin > at:
                    yield at, begin
                at = max(at, end)
            yield at, area.end
