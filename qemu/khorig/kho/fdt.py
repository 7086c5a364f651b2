# SPDX-License-Identifier: BSD-3-Clause
"""Flattened device trees, read with libfdt after its full check."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator, Mapping

import libfdt

from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, read_bytes

MAGIC = 0xD00DFEED
MAGIC_BYTES = MAGIC.to_bytes(4, "big")
HEADER_SIZE = 40  # bytes of a version 17 header
_PROPERTY_HEAD = 12  # bytes of tag, length and name before a property's value


@dataclass(frozen=True)
class FdtNode:
    """One node. The root's name is empty."""

    name: str
    properties: Mapping[str, bytes]
    children: tuple[FdtNode, ...]

    def walk(self, path: str = "") -> Iterator[tuple[str, FdtNode]]:
        """This node and all below it, each with its path ("" for the root, "/a/b")."""
        pending = [(path, self)]
        while pending:
            at, node = pending.pop()
            yield at, node
            pending.extend((f"{at}/{c.name}", c) for c in reversed(node.children))


def read_fdt(memory: PhysicalMemory, address: int, limit: int) -> bytearray:
    """The blob at `address`, as long as its own totalsize says, but at most `limit` bytes; checked
    as a whole, so that libfdt is safe on it.

    Raises DecodeError: "outside-ram", "fdt-magic", "fdt-total-size", "fdt-structure".
    """
    magic, size = struct.unpack(">2I", read_bytes(memory, address, 8))
    if magic != MAGIC:
        raise DecodeError("fdt-magic", address, f"magic {magic:#010x}, expected {MAGIC:#010x}")
    if not HEADER_SIZE <= size <= limit:
        raise DecodeError(
            "fdt-total-size", address, f"totalsize {size}, expected {HEADER_SIZE} to {limit}"
        )
    blob = bytearray(read_bytes(memory, address, size))
    error = libfdt.fdt_check_full(blob, size)
    if error:
        raise DecodeError("fdt-structure", address, f"libfdt: {libfdt.fdt_strerror(error)}")
    return blob


def _text(name: object, address: int) -> str:
    """A name that can be printed; libfdt itself lets every byte through."""
    text = str(name)
    if text.isprintable():
        return text
    raise DecodeError("fdt-structure", address, f"the name {text!a} is not printable")


def _name(blob: bytearray, node: int, address: int) -> str:
    return _text(libfdt.fdt_get_name(blob, node)[0], address)


def properties_of(blob: bytearray, node: int, address: int) -> Iterator[tuple[str, bytes, int]]:
    """Name, value and the value's offset in the blob of each property of a node. Raises
    DecodeError "fdt-structure" for a name that is not printable text."""
    offset = libfdt.fdt_first_property_offset(blob, node)
    while offset >= 0:
        try:
            name, value = libfdt.fdt_get_property_by_offset(blob, offset)[:2]
        except SystemError as error:  # pylibfdt's answer to a name that is not UTF-8
            raise DecodeError("fdt-structure", address, "a property name is not UTF-8") from error
        place = libfdt.fdt_off_dt_struct(blob) + offset + _PROPERTY_HEAD
        yield _text(name, address), bytes(value), place
        offset = libfdt.fdt_next_property_offset(blob, offset)


def _properties(blob: bytearray, node: int, address: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, value, _ in properties_of(blob, node, address):
        found.setdefault(name, value)  # of two with one name libfdt finds the first, too
    return found


def parse_fdt(blob: bytearray, address: int) -> FdtNode:
    """The tree in a blob that `read_fdt` has checked; `address` is for messages only. Raises
    DecodeError "fdt-structure" for a name that is not printable text."""
    open_nodes: list[tuple[str, dict[str, bytes], list[FdtNode]]] = []
    offset, depth = 0, 0
    while True:
        while open_nodes and (offset < 0 or len(open_nodes) > depth):
            name, properties, children = open_nodes.pop()
            node = FdtNode(name, properties, tuple(children))
            if not open_nodes:
                return node
            open_nodes[-1][2].append(node)
        open_nodes.append((_name(blob, offset, address), _properties(blob, offset, address), []))
        offset, depth = libfdt.fdt_next_node(blob, offset, depth)
