# SPDX-License-Identifier: BSD-3-Clause
"""The memory of a real kernel that is ready to jump, to be looked at and broken."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from view.handover_image import MIB, PAGE

from khorig.api.rig import Rig
from khorig.kho.snapshot import Snapshot, find_snapshot
from khorig.mem.formats import open_dump
from khorig.mem.guest_ram import GuestRam, RamRegion

_RESERVED = ("reserve_mem=256K:4096:first",)
_ROOT_LEVEL = 5


@dataclass
class RealImage:
    """What a run has kept. `write` changes the file, `mend` takes all changes back."""

    path: Path  # ends in .ram
    facts: dict[str, Any]  # the description beside it
    regions: list[RamRegion]
    clean: Snapshot  # before anything was changed

    def __post_init__(self) -> None:
        self._undo: list[tuple[int, bytes]] = []
        self._descriptor = os.open(self.path, os.O_RDWR)

    def _offset(self, address: int, size: int) -> int:
        [region] = [r for r in self.regions if r.gpa <= address and address + size <= r.end]
        return address - region.gpa + region.offset

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return os.pread(self._descriptor, size, self._offset(address, size))

    def write(self, address: int, content: bytes) -> None:
        """Overwrites memory."""
        offset = self._offset(address, len(content))
        self._undo.append((offset, os.pread(self._descriptor, len(content), offset)))
        os.pwrite(self._descriptor, content, offset)

    def mend(self) -> None:
        """As the kernel has left it."""
        for offset, old in reversed(self._undo):
            os.pwrite(self._descriptor, old, offset)
        self._undo.clear()

    def word(self, address: int, value: int) -> None:
        """Overwrites 64 bits."""
        self.write(address, struct.pack("<Q", value))

    def replace(self, page: int, old: bytes, new: bytes) -> None:
        """Changes the first of some bytes in a page."""
        content = self.read(page, PAGE)
        assert old in content and len(old) == len(new), old
        self.write(page + content.index(old), new)

    def bit(self, address: int, order: int, value: bool) -> None:
        """Puts a block into the tracker, or takes it out, where the tables on the way are there:
        the key has its order bit at 52 - order, indices of 9 bits and 15 bits in the leaf."""
        key = 1 << 52 - order | address >> 12 + order
        at = self.clean.handover.tree.root
        for level in range(_ROOT_LEVEL, 0, -1):
            slot = at + 8 * (key >> (level - 1) * 9 + 15 & 511)
            at = int.from_bytes(self.read(slot, 8), "little")
            assert at, f"no table of level {level - 1} for {address:#x} of order {order}"
        byte = at + (key & 0x7FFF) // 8
        old, mask = self.read(byte, 1)[0], 1 << key % 8
        assert bool(old & mask) != value, f"{address:#x} of order {order} is so already"
        self.write(byte, bytes([old ^ mask]))

    def empty_slot(self) -> int:
        """The address of a slot in the tracker's root that names no table."""
        root = self.clean.handover.tree.root
        words = struct.unpack("<512Q", self.read(root, PAGE))
        return root + 8 * words.index(0)

    def small(self) -> tuple[GuestRam, dict[str, Any]]:
        """The same memory without the content of the scenario's blocks, so that what is left is
        nearly all structure."""
        size = max(r.offset + r.size for r in self.regions)
        ram = GuestRam(memoryview(bytearray(size)), self.regions)
        for area in self.clean.memory.data():
            ram.write(area.begin, self.read(area.begin, area.size))
        for frame in self.clean.owners.pages_of("block").tolist():
            ram.write(frame * PAGE, bytes(PAGE))
        return ram, self.facts


def take(machine: str, folder: Path, memory: int = 64 * MIB) -> RealImage:
    """Boots the kernel on a machine and keeps its memory when it is sealed, unpacked."""
    result = Rig(folder / "out").run(
        machine, memory=memory, generations=2, extra_options=_RESERVED, keep=True
    )
    packed = result.expect_pass().folder / "gen1.sealed.ram.zst"
    path = folder / f"{machine}.ram"
    subprocess.run(["zstd", "-dqf", "--sparse", str(packed), "-o", str(path)], check=True)
    facts: dict[str, Any] = json.loads(packed.with_name("gen1.sealed.json").read_text())
    path.with_suffix(".json").write_text(json.dumps(facts))
    regions = [RamRegion(*(int(number, 0) for number in entry)) for entry in facts["ram_map"]]
    return RealImage(path, facts, regions, find_snapshot(open_dump(path)))
