# SPDX-License-Identifier: BSD-3-Clause
"""One fragment: an FDT of at most a page, and the links in it."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.kho.fdt import MAGIC_BYTES, FdtNode, parse_fdt, read_fdt
from khorig.kho.layout import COMPATIBLE_PROPERTY, DATA_PROPERTY, SIZE_PROPERTY, Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

FRAGMENT_ALIGNMENT = 8  # bytes, what libfdt asks for


@dataclass(frozen=True)
class Fragment:
    """A fragment and where it hangs."""

    path: str  # "" for the root page, "/khorig/stores" for a fragment linked from a fragment
    address: int
    size: int  # bytes, its totalsize
    depth: int  # the root page is 1
    tree: FdtNode

    def __repr__(self) -> str:
        place = f"{self.path or '/'} at {self.address:#x}"
        return f"<fragment {place}: {self.size} bytes, depth {self.depth}>"

    @property
    def compatible(self) -> str:
        """The root node's `compatible`, "" when it has none or one that is no string."""
        return string_property(self.tree, COMPATIBLE_PROPERTY) or ""


@dataclass(frozen=True)
class Link:
    """A subnode that points to preserved memory."""

    path: str
    blob: PhysRange


def string_property(node: FdtNode, name: str) -> str | None:
    """A string property without its terminator, None when it is absent or not one string."""
    value = node.properties.get(name)
    if not value or value[-1] or 0 in value[:-1]:
        return None
    return value[:-1].decode("utf-8", "replace")


def u64_property(node: FdtNode, name: str, absent: str, address: int) -> int:
    """A CPU-native (little-endian) u64. Raises DecodeError with the id `absent`, or
    "property-size". `address` is the fragment's, for messages."""
    value = node.properties.get(name)
    if value is None:
        raise DecodeError(absent, address, f"node '{node.name}' has no '{name}'")
    if len(value) != 8:
        text = f"'{name}' of node '{node.name}' has {len(value)} bytes, not 8"
        raise DecodeError("property-size", address, text)
    return int.from_bytes(value, "little")


def is_link(node: FdtNode) -> bool:
    """Whether a node means to be a link: one of the two properties is there."""
    return DATA_PROPERTY in node.properties or SIZE_PROPERTY in node.properties


def read_sizeless_link(
    memory: PhysicalMemory, node: FdtNode, path: str, address: int, name: str
) -> Link:
    """The link `name` in a node of the fragment at `address`, to an FDT that says its size itself.

    Raises DecodeError: "data-missing", "property-size", "outside-ram", "fdt-magic",
    "blob-size-range".
    """
    data = u64_property(node, name, "data-missing", address)
    head = read_bytes(memory, data, 2 * len(MAGIC_BYTES))
    if head[: len(MAGIC_BYTES)] != MAGIC_BYTES:
        raise DecodeError("fdt-magic", data, f"{path}: magic {head[:4].hex()}, not a device tree")
    size = int.from_bytes(head[len(MAGIC_BYTES) :], "big")
    if size == 0:
        raise DecodeError("blob-size-range", data, f"totalsize of {path} is 0")
    return Link(path, PhysRange(data, size))


def read_link(node: FdtNode, path: str, address: int) -> Link:
    """The link in a node of the fragment at `address`.

    Raises DecodeError: "data-missing", "blob-size-missing", "property-size", "blob-size-range".
    """
    data = u64_property(node, DATA_PROPERTY, "data-missing", address)
    size = u64_property(node, SIZE_PROPERTY, "blob-size-missing", address)
    if size == 0:
        raise DecodeError("blob-size-range", address, f"'{SIZE_PROPERTY}' of {path} is 0")
    return Link(path, PhysRange(data, size))


def looks_like_fragment(memory: PhysicalMemory, blob: PhysRange, geometry: Geometry) -> bool:
    """Whether a blob is an FDT that can be a fragment, by its magic and its size."""
    if not len(MAGIC_BYTES) <= blob.size <= geometry.page_size:
        return False
    return read_bytes(memory, blob.begin, len(MAGIC_BYTES)) == MAGIC_BYTES


def open_fragment(
    memory: PhysicalMemory, address: int, path: str, depth: int, geometry: Geometry
) -> Fragment:
    """Reads the fragment at `address`.

    Raises DecodeError: "unaligned", "outside-ram", "fdt-magic", "fdt-total-size", "fdt-structure".
    """
    if address % FRAGMENT_ALIGNMENT:
        raise DecodeError("unaligned", address, f"fragment {path or 'root'} is not 8-byte aligned")
    blob = read_fdt(memory, address, geometry.page_size)
    return Fragment(path, address, len(blob), depth, parse_fdt(blob, address))
