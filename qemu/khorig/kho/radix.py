# SPDX-License-Identifier: BSD-3-Clause
"""The radix tree of preserved blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Blocks, BoolArray, Int64Array
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.memory import PhysicalMemory, range_at

Uint64Array = npt.NDArray[np.uint64]

# Enough for 32 TiB of order 0 at 4 KiB; a tree of garbage could have as many as RAM has pages.
MAX_NODES = 1 << 18
# 32 GiB of single pages. Each block takes 250 bytes at the peak, and a leaf, which is 20 bytes in
# a compressed dump, names 32,768 of them.
MAX_BLOCKS = 1 << 23


@dataclass(frozen=True, slots=True)
class RadixNode:
    """One page of the tree."""

    address: int
    level: int  # 0 is a leaf
    prefix: int  # the bits of the key that lead here


@dataclass(frozen=True, eq=False)
class RadixTree:
    """What hangs from `preserved-memory-map`."""

    root: int
    geometry: Geometry
    nodes: tuple[RadixNode, ...]  # each once; from the root down, within a level by key
    keys: Uint64Array  # ascending, those with a valid order bit
    blocks: Blocks  # of `keys`, not checked against RAM
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"<radix tree at {self.root:#x}: {len(self.nodes)} nodes, {len(self.keys)} keys>"


class _Reader:
    """One walk, level by level, over a tree that may be anything."""

    def __init__(self, memory: PhysicalMemory, geometry: Geometry, taken: int | None) -> None:
        self.memory = memory
        self.geometry = geometry
        self._taken = taken
        self.problems = Problems("node")
        self.nodes: list[RadixNode] = []
        self._seen: set[int] = set()
        pages = sum(r.size for r in memory.ranges) >> geometry.page_shift
        self._most = min(pages, MAX_BLOCKS)

    def admit(self, address: int, level: int, prefix: int, pointer: int) -> bool:
        """Whether the page at `address`, which the word at `pointer` names, is a node that can be
        read, and for the first time."""
        if address % self.geometry.page_size:
            self.problems.add("unaligned", pointer, f"radix node at {address:#018x}, not a page")
        elif not range_at(self.memory.ranges, address).contains(address, self.geometry.page_size):
            self.problems.add("outside-ram", pointer, f"radix node at {address:#018x}")
        elif address == self._taken:
            self.problems.add("overlap", pointer, f"node {address:#018x} is the handover's root")
        elif address in self._seen:
            self.problems.add("radix-cycle", pointer, f"node {address:#018x} is reached twice")
        elif len(self.nodes) >= MAX_NODES:
            self.problems.give_up("radix-size", pointer, f"more than {MAX_NODES} nodes")
        else:
            self._seen.add(address)
            self.nodes.append(RadixNode(address, level, prefix))
            return True
        return False

    def page(self, node: RadixNode) -> memoryview:
        """An empty one when a dump has it not."""
        try:
            return self.memory.view(node.address, self.geometry.page_size)
        except DecodeError as error:
            self.problems.keep(error.problem)
            return memoryview(bytes(self.geometry.page_size))

    def children(self, parents: list[RadixNode], level: int) -> list[RadixNode]:
        """The nodes of `level` that the tables above it point to."""
        first = len(self.nodes)
        for parent in parents:
            slots = np.frombuffer(self.page(parent), dtype="<u8")
            used = slots.nonzero()[0]
            for slot, child in zip(used.tolist(), slots[used].tolist()):
                if self.problems.full:
                    return self.nodes[first:]
                prefix = parent.prefix << self.geometry.table_log2 | slot
                self.admit(child, level, prefix, parent.address + 8 * slot)
        return self.nodes[first:]

    def keys(self, leaves: list[RadixNode]) -> Uint64Array:
        """The keys of all bits that are set, those without a valid order bit left out."""
        parts: list[Uint64Array] = [np.empty(0, dtype=np.uint64)]
        count = 0
        for leaf in leaves:
            found = set_bits(self.page(leaf))
            count += len(found)
            if count > self._most:
                text = f"more than {self._most} keys: as many pages as RAM has, or too many"
                self.problems.give_up("radix-size", leaf.address, text)
                break
            base = leaf.prefix << self.geometry.bitmap_log2
            if base >> (self.geometry.order_0_bit + 1):
                if len(found):
                    self.problems.add(
                        "order-range",
                        leaf.address,
                        f"{len(found)} keys from {base | int(found[0]):#x} on have a bit above "
                        f"that of order 0 ({self.geometry.order_0_bit})",
                    )
                continue
            if base == 0 and len(found) and found[0] == 0:
                self.problems.add("order-range", leaf.address, "key 0 has no order bit")
                found = found[1:]
            parts.append(found | np.uint64(base))
        return np.concatenate(parts)


def set_bits(page: memoryview) -> Uint64Array:
    """The numbers of the bits that are set, ascending. Most leaves are nearly empty, so only their
    bytes that are not are taken apart."""
    content = np.frombuffer(page, dtype=np.uint8)
    used = content.nonzero()[0]
    bits = np.unpackbits(content[used], bitorder="little").nonzero()[0]
    numbers: Int64Array = used[bits >> 3] * 8 + (bits & 7)
    return numbers.astype(np.uint64)


def blocks_of_keys(keys: Uint64Array, geometry: Geometry) -> Blocks:
    """The blocks that keys with a valid order bit stand for."""
    # A key has at most 53 bits, so a double holds it and its exponent is its highest set bit.
    width = np.frexp(keys.astype(np.float64))[1].astype(np.int64)
    orders = geometry.order_0_bit + 1 - width
    numbers = keys.astype(np.int64) - np.left_shift(np.int64(1), width - 1)
    return Blocks(np.left_shift(numbers, orders), orders)


def decode_radix(
    memory: PhysicalMemory,
    root: int,
    geometry: Geometry,
    taken: int | None = None,
) -> RadixTree:
    """Reads the whole tree. Never raises for what is in memory: problems are collected, and what
    hangs behind one is left out. Bounded by the pages of RAM, since no node is read twice, and by
    the number of problems. `taken` is a page that cannot be a node: the root of the handover.

    Ids: "radix-null", "unaligned", "outside-ram", "overlap", "radix-cycle", "radix-size",
    "order-range".
    """
    reader = _Reader(memory, geometry, taken)
    keys: Uint64Array = np.empty(0, dtype=np.uint64)
    if root == 0:
        reader.problems.add("radix-null", 0, "the memory map pointer is 0")
    elif reader.admit(root, geometry.levels - 1, 0, root):
        level_nodes = list(reader.nodes)
        for level in range(geometry.levels - 2, -1, -1):
            level_nodes = reader.children(level_nodes, level)
        keys = reader.keys(level_nodes)
    return RadixTree(
        root=root,
        geometry=geometry,
        nodes=tuple(reader.nodes),
        keys=keys,
        blocks=blocks_of_keys(keys, geometry),
        problems=tuple(reader.problems.items),
    )


@dataclass(frozen=True, eq=False)
class SoundBlocks:
    """The blocks of a tree that lie in RAM and do not overlap."""

    blocks: Blocks
    problems: tuple[Problem, ...]


def sound_blocks(blocks: Blocks, memory: PhysicalMemory, geometry: Geometry) -> SoundBlocks:
    """Separates the blocks that can be worked with from the others.

    Ids: "outside-ram", "overlap".
    """
    shift = geometry.page_shift
    problems = Problems("block")

    def say(blocks: Blocks, bad: BoolArray, id: str, text: str) -> Blocks:
        rejected = blocks.select(bad)
        for frame, order in zip(rejected.frames[: Problems.LIMIT], rejected.orders):
            problems.add(id, int(frame) << shift, f"preserved block of order {order} {text}")
        return blocks.select(~bad)

    blocks = say(blocks, ~blocks.inside(memory.ranges, shift), "outside-ram", "is not inside RAM")
    blocks = say(blocks, blocks.overlapping(), "overlap", "starts inside another preserved block")
    return SoundBlocks(blocks, tuple(problems.items))
