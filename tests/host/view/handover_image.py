# SPDX-License-Identifier: BSD-3-Clause
"""Writes handovers into memory of their own, from the ABI text, for tests of the reader.

Shares nothing with the reader but the memory: key, tree, chunk and FDT are written out here.
"""

from __future__ import annotations

import mmap
import random
import struct
from typing import Mapping, Sequence, Union

import libfdt

from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import PhysRange, RamMemory

PAGE = 4096
MIB = 1 << 20
RAM = PhysRange(0x4000_0000, 64 * MIB)
SCRATCH = (PhysRange(0x4100_0000, 4 * MIB), PhysRange(0x4180_0000, 8 * MIB))

FdtValue = Union[str, bytes, int, Mapping[str, "FdtValue"]]


def fdt_bytes(tree: Mapping[str, FdtValue], size: int = PAGE) -> bytes:
    """An FDT of `size` bytes. Strings get their terminator, numbers are little-endian u64,
    mappings are subnodes; properties must come before subnodes."""
    fdt = libfdt.FdtSw()
    fdt.finish_reservemap()

    def node(name: str, content: Mapping[str, FdtValue]) -> None:
        fdt.begin_node(name)
        for key, value in content.items():
            if isinstance(value, str):
                fdt.property_string(key, value)
            elif isinstance(value, bytes):
                fdt.property(key, value)
            elif isinstance(value, int):
                fdt.property(key, struct.pack("<Q", value))
            else:
                node(key, value)
        fdt.end_node()

    node("", tree)
    blob = bytearray(fdt.as_fdt().as_bytearray())
    assert len(blob) <= size, f"{len(blob)} bytes do not fit into {size}"
    blob.extend(bytes(size - len(blob)))
    struct.pack_into(">I", blob, 4, size)
    return bytes(blob)


class HandoverImage:
    """Guest memory with a handover that grows by calls; `finish` writes tree and root."""

    def __init__(
        self,
        ram: Sequence[PhysRange] = (RAM,),
        scratch: Sequence[PhysRange] = SCRATCH,
        seed: int = 1,
        buffer: memoryview | None = None,
        offset: int = 0,
    ) -> None:
        """RAM lies in `buffer` from `offset` on, or in fresh memory."""
        regions = []
        for r in ram:
            regions.append(RamRegion(r.begin, r.size, offset))
            offset += r.size
        self.ram = GuestRam(buffer or memoryview(mmap.mmap(-1, offset)), regions)
        self.memory = RamMemory(self.ram)
        self.scratch = tuple(scratch)
        self.random = random.Random(seed)
        self.blocks: list[tuple[int, int]] = []  # (address, order), preserved
        self.allocated: list[tuple[int, int]] = []  # (address, order), preserved or not
        self.clients: dict[str, FdtValue] = {}
        self.nodes: list[int] = []  # addresses of the tree's pages, the root first
        self._next = 0
        self.root = self.preserved_page()

    def allocate(self, order: int = 0) -> int:
        """The address of 2^order fresh pages outside scratch, upwards through memory."""
        size = PAGE << order
        for region in self.ram.regions:
            at = -(-max(self._next, region.gpa) // size) * size
            for area in sorted(self.scratch):
                if area.overlaps(at, size):
                    at = -(-area.end // size) * size
            if at + size <= region.end:
                self._next = at + size
                self.allocated.append((at, order))
                return at
        raise AssertionError("the image is full")

    def preserve(self, address: int, order: int) -> None:
        """Puts a block into the tree, whatever it is."""
        self.blocks.append((address, order))

    def preserved_block(self, order: int) -> int:
        """A fresh preserved block with random content."""
        at = self.allocate(order)
        self.ram.write(at, self.random.randbytes(PAGE << order))
        self.preserve(at, order)
        return at

    def preserved_page(self, content: bytes = b"") -> int:
        """A fresh preserved page."""
        at = self.allocate()
        self.ram.write(at, content.ljust(PAGE, b"\0"))
        self.preserve(at, 0)
        return at

    def fragment(self, tree: Mapping[str, FdtValue]) -> int:
        """A fragment in a page of its own."""
        return self.preserved_page(fdt_bytes(tree))

    @staticmethod
    def link(address: int, size: int = PAGE) -> Mapping[str, FdtValue]:
        """The content of a subnode that links to a blob."""
        return {"preserved-data": address, "blob-size": size}

    def vmalloc(self, blocks: Sequence[int], order: int = 0, trailing: bool = False) -> bytes:
        """The 16 bytes that describe a list of blocks, and its chunks. `trailing` adds an empty
        chunk, as Linux does after full ones."""
        groups = [blocks[i : i + 511] for i in range(0, len(blocks), 511)]
        if trailing:
            groups.append([])
        first = 0
        for group in reversed(groups):
            words = [first, *group] + [0] * (511 - len(group))
            first = self.preserved_page(struct.pack("<512Q", *words))
        return struct.pack("<QIHH", first, len(blocks) << order, 1, order)

    def finish(self, **changes: FdtValue) -> int:
        """Writes tree and root page and returns the root's address. `changes` replace properties
        of the root (with - written as _)."""
        tree: dict[str, FdtValue] = {"compatible": "kho-v4"}
        tree["preserved-memory-map"] = self.write_tree()
        tree.update({name.replace("_", "-"): value for name, value in changes.items()})
        tree.update(self.clients)
        self.ram.write(self.root, fdt_bytes(tree))
        return self.root

    def write_tree(self) -> int:
        """Writes the radix tree of `blocks` and returns its root node."""
        self.nodes = [self.node()]
        for address, order in self.blocks:
            self.set_key((1 << (52 - order)) | (address >> (12 + order)))
        return self.nodes[0]

    def node(self) -> int:
        """An empty page of the tree: not preserved, not in scratch."""
        at = self.allocate()
        self.ram.write(at, bytes(PAGE))
        return at

    def set_key(self, key: int) -> None:
        """Sets the bit of a key, valid or not, and makes the tables on the way."""
        at = self.nodes[0]
        for level in (5, 4, 3, 2, 1):
            slot = at + 8 * ((key >> ((level - 1) * 9 + 15)) & 511)
            at = self.ram.read_u64(slot)
            if at == 0:
                at = self.node()
                self.nodes.append(at)
                self.write_u64(slot, at)
        bit = key & 0x7FFF
        byte = at + bit // 8
        self.ram.write(byte, bytes([self.ram.read(byte, 1)[0] | 1 << bit % 8]))

    def write_u64(self, address: int, value: int) -> None:
        """Overwrites a word."""
        self.ram.write(address, struct.pack("<Q", value))


def typical_image(seed: int = 1) -> HandoverImage:
    """A handover with every client of khorig; `finish` is not called yet."""
    image = HandoverImage(seed=seed)
    add_metadata(image, 1)
    add_khorig(image)
    area = image.preserved_block(4)
    reserved: FdtValue = {"compatible": "reserve-mem-v1", "start": area, "size": 16 * PAGE}
    memblock = image.fragment({"compatible": "memblock-v1", "mem0": reserved})
    image.clients["memblock"] = image.link(memblock)
    return image


def add_metadata(image: HandoverImage, count: int) -> None:
    """The client kexec-metadata."""
    blob = struct.pack("<I65sI", 1, b"khorig", count)
    image.clients["kexec-metadata"] = image.link(image.preserved_page(blob), len(blob))


LOG_TEXT = b"the last words of a kernel\n"


def log_bytes(text: bytes, capacity: int) -> bytes:
    """A log ring that has seen `text` and nothing else."""
    header = struct.pack("<4Q", 0x676F6C2D67726F6B, capacity, len(text), 0)
    ring = bytearray(capacity)
    for i, byte in enumerate(text):
        ring[i % capacity] = byte
    return header + bytes(ring)


def add_khorig(image: HandoverImage) -> None:
    """The client khorig with archive, log and two stores in two fragments."""
    archive = image.preserved_block(3)
    log = image.preserved_block(1)
    image.ram.write(log, log_bytes(LOG_TEXT, 2 * PAGE - 32))
    small = image.vmalloc([image.preserved_block(0) for _ in range(5)])
    large = image.vmalloc([image.preserved_block(2) for _ in range(3)], order=2)
    more = image.fragment(
        {
            "compatible": "khorig-stores-v1",
            "db1": {"compatible": "khorig-store-v1", "vmalloc": large, "size": 12 * PAGE},
        }
    )
    stores = image.fragment(
        {
            "compatible": "khorig-stores-v1",
            "db0": {"compatible": "khorig-store-v1", "vmalloc": small, "size": 5 * PAGE - 7},
            "more": image.link(more),
        }
    )
    khorig = image.fragment(
        {
            "compatible": "khorig-v1",
            "archive": image.link(archive, 8 * PAGE - 100),
            "log": image.link(log, 2 * PAGE),
            "stores": image.link(stores),
        }
    )
    image.clients["khorig"] = image.link(khorig)
