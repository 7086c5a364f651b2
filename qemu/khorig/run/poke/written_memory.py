# SPDX-License-Identifier: BSD-3-Clause
"""The RAM of a guest, without what nobody has written yet."""

from __future__ import annotations

from typing import Sequence

from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange, RamMemory

_CHUNK = 1 << 20  # bytes looked at in one go


class WrittenMemory(RamMemory):
    """What walks over all of memory walks over `data` (khorig.mem.formats.dump.DumpMemory)."""

    def __init__(self, ram: GuestRam) -> None:
        """`ram` outlives the object."""
        super().__init__(ram)
        self._data: list[PhysRange] = []
        for region in ram.regions:
            for begin in range(region.gpa, region.end, _CHUNK):
                size = min(_CHUNK, region.end - begin)
                if ram.written(begin, size):
                    self._data.append(PhysRange(begin, size))

    def data(self) -> Sequence[PhysRange]:
        """See DumpMemory."""
        return self._data

    def forget(self) -> None:
        """See DumpMemory. Nothing is kept."""

    def close(self) -> None:
        """See DumpMemory. The run closes its RAM."""
