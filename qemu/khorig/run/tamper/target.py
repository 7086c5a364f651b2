# SPDX-License-Identifier: BSD-3-Clause
"""A handover in guest memory to be corrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator

import libfdt

from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.fragment import Fragment
from khorig.kho.handover import Handover
from khorig.kho.layout import Geometry
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange
from khorig.vm.errors import InfraError

_BIGGEST_GAP = 1024  # frames; smaller gaps between preserved blocks are RAM, not firmware memory


class CannotTamper(InfraError):
    """The handover lacks what a tampering needs; not a failure of the guest."""


@dataclass(frozen=True, eq=False)
class Target:
    """A handover with functions to modify it. Valid only during a stop."""

    ram: GuestRam
    ranges: tuple[PhysRange, ...]  # of RAM
    handoff: Handoff
    scratch: tuple[PhysRange, ...]
    handover: Handover
    geometry: Geometry

    @property
    def end_of_ram(self) -> int:
        """End of RAM."""
        return max(r.end for r in self.ranges)

    def write_u64(self, address: int, value: int) -> None:
        """Overwrites a CPU-native word."""
        self.ram.write(address, value.to_bytes(8, "little"))

    def fragment(self, path: str) -> Fragment:
        """The fragment at `path`. Raises CannotTamper."""
        found = self.handover.fragment(path)
        if found is None:
            raise CannotTamper(f"no fragment {path or 'root'}")
        return found

    def edit_fdt(self, address: int, edit: Callable[[bytearray], int]) -> None:
        """Edits the FDT in the page at `address` with libfdt, so it stays well-formed. `edit`
        returns libfdt's result. Raises CannotTamper if libfdt fails."""
        page = self.geometry.page_size
        blob = bytearray(page)
        error = libfdt.fdt_open_into(bytearray(self.ram.read(address, page)), blob, page)
        if error == 0:
            error = edit(blob)
        if error < 0:
            raise CannotTamper(f"libfdt: {libfdt.fdt_strerror(error)} at {address:#018x}")
        self.ram.write(address, bytes(blob))

    def set_property(self, address: int, node: str, name: str, value: bytes) -> None:
        """Sets a property of the FDT at `address`. Raises CannotTamper."""

        def edit(blob: bytearray) -> int:
            offset = libfdt.fdt_path_offset(blob, node)
            if offset < 0:
                return int(offset)
            return int(libfdt.fdt_setprop(blob, offset, name, value, len(value)))

        self.edit_fdt(address, edit)

    def delete_property(self, address: int, node: str, name: str) -> None:
        """Deletes a property of the FDT at `address`. Raises CannotTamper."""

        def edit(blob: bytearray) -> int:
            offset = libfdt.fdt_path_offset(blob, node)
            return int(offset if offset < 0 else libfdt.fdt_delprop(blob, offset, name))

        self.edit_fdt(address, edit)

    def spare_pages(self) -> Iterator[int]:
        """Addresses of unused RAM pages, zeroed: outside scratch, not preserved, not part of the
        tree; first between preserved blocks, then after the last. They stay unused until the next
        kernel has read the handover."""
        for frame in self._unpreserved_frames():
            address = frame << self.geometry.page_shift
            size = self.geometry.page_size
            if any(a.overlaps(address, size) for a in self.scratch):
                continue
            if any(n.address == address for n in self.handover.tree.nodes):
                continue
            if any(r.contains(address, size) for r in self.ranges):
                self.ram.write(address, bytes(size))
                yield address

    def _unpreserved_frames(self) -> Iterator[int]:
        blocks = self.handover.blocks
        pairs = sorted(zip(blocks.frames.tolist(), (blocks.frames + blocks.counts).tolist()))
        for (_, end), (begin, _) in zip(pairs, pairs[1:]):
            if begin - end <= _BIGGEST_GAP:
                yield from range(end, begin)
        last = pairs[-1][1] if pairs else 0
        yield from range(last, self.end_of_ram >> self.geometry.page_shift)

    def leaf_slots(self) -> Iterator[tuple[int, int]]:
        """(address of the pointer, address of the leaf) for every leaf of the tree."""
        for parent in self.handover.tree.nodes:
            if parent.level != 1:
                continue
            for slot in range(0, self.geometry.page_size, 8):
                child = self.ram.read_u64(parent.address + slot)
                if child:
                    yield parent.address + slot, child

    def set_key(self, key: int, spare: Iterator[int]) -> None:
        """Sets the bit of a key in the tree; missing nodes come from `spare`."""
        node = self.handover.tree.root
        g = self.geometry
        for level in range(g.levels - 1, 0, -1):
            shift = (level - 1) * g.table_log2 + g.bitmap_log2
            slot = node + 8 * (key >> shift & ((1 << g.table_log2) - 1))
            node = self.ram.read_u64(slot)
            if not node:
                node = next(spare)
                self.write_u64(slot, node)
        byte, mask = self._bit(node, key)
        self.ram.write(byte, bytes([self.ram.read(byte, 1)[0] | mask]))

    def clear_key(self, key: int) -> None:
        """Clears the bit of a key. Raises CannotTamper if its leaf is missing."""
        g = self.geometry
        leaf = next(
            (
                n.address
                for n in self.handover.tree.nodes
                if n.level == 0 and n.prefix == key >> g.bitmap_log2
            ),
            None,
        )
        if leaf is None:
            raise CannotTamper(f"key {key:#x} is not in the tree")
        byte, mask = self._bit(leaf, key)
        self.ram.write(byte, bytes([self.ram.read(byte, 1)[0] & ~mask]))

    def _bit(self, leaf: int, key: int) -> tuple[int, int]:
        """(address of the byte, mask) of a key in its leaf."""
        bit = key & ((1 << self.geometry.bitmap_log2) - 1)
        return leaf + bit // 8, 1 << bit % 8
