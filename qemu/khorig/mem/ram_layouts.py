# SPDX-License-Identifier: BSD-3-Clause
"""Where QEMU's machines have their RAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from khorig.mem.guest_ram import RamRegion

_FOUR_GIB = 4 << 30


@dataclass(frozen=True)
class RamLayout:
    """The physical addresses of a machine's RAM, as functions of its size. Checked against `info
    mtree -f` of QEMU 7.2."""

    arch: str  # "x86_64", "arm64"
    begin: int = 0
    split_from: int | None = None  # bytes of RAM from which on a part of it lies at 4 GiB
    split_at: int = 0  # bytes that then stay below

    def regions(self, ram_bytes: int) -> list[RamRegion]:
        """Where the RAM of `ram_bytes` lies and at which offset of its backing file, ascending."""
        split = self.split_from is not None and ram_bytes >= self.split_from
        low = self.split_at if split else ram_bytes
        regions = [RamRegion(self.begin, low, 0)]
        if ram_bytes > low:
            regions.append(RamRegion(_FOUR_GIB, ram_bytes - low, low))
        return regions


# By the name of the machine; the first of an architecture is its usual one.
RAM_LAYOUTS: Mapping[str, RamLayout] = {
    "q35": RamLayout("x86_64", split_from=0xB000_0000, split_at=0x8000_0000),
    "pc": RamLayout("x86_64", split_from=0xE000_0000, split_at=0xC000_0000),
    "microvm": RamLayout("x86_64", split_from=0xC000_0000, split_at=0xC000_0000),
    "virt": RamLayout("arm64", begin=1 << 30),
}
