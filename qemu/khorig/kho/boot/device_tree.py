# SPDX-License-Identifier: BSD-3-Clause
"""The handover in a device tree's /chosen (Linux drivers/of/kexec.c)."""

from __future__ import annotations

import libfdt

from khorig.kho.boot.handoff_fields import Field, Handoff
from khorig.kho.fdt import properties_of, read_fdt
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory

_LARGEST = 2 << 20  # bytes, by the arm64 boot protocol
_ROOT_PROPERTY = "linux,kho-fdt"
_SCRATCH_PROPERTY = "linux,kho-scratch"
_ROOT_NODE = 0  # its offset


def find_in_device_tree(memory: PhysicalMemory, device_tree: int) -> Handoff | None:
    """See find_handoff."""
    blob = read_fdt(memory, device_tree, _LARGEST)
    root = _tuple(blob, device_tree, _ROOT_PROPERTY)
    scratch = _tuple(blob, device_tree, _SCRATCH_PROPERTY)
    if root is None and scratch is None:
        return None
    if root is None or scratch is None:
        missing = _SCRATCH_PROPERTY if scratch is None else _ROOT_PROPERTY
        raise DecodeError("property-size", device_tree, f"/chosen has no '{missing}'")
    return Handoff(*root, *scratch)


def _cells(blob: bytearray, address: int, name: str) -> int:
    """#address-cells or #size-cells of the root, in bytes."""
    for found, value, _ in properties_of(blob, _ROOT_NODE, address):
        if found == name:
            return 4 * int.from_bytes(value, "big")
    return 0


def _tuple(blob: bytearray, address: int, name: str) -> tuple[Field, Field] | None:
    """The one (address, size) of a property of /chosen, or None when it is absent."""
    chosen = libfdt.fdt_path_offset(blob, "/chosen")
    if chosen < 0:
        return None
    for found, value, place in properties_of(blob, chosen, address):
        if found == name:
            address_size = _cells(blob, address, "#address-cells")
            size_size = _cells(blob, address, "#size-cells")
            return _split(value, address + place, address_size, size_size, name)
    return None


def _split(
    value: bytes, at: int, address_size: int, size_size: int, name: str
) -> tuple[Field, Field]:
    if len(value) != address_size + size_size or not address_size or not size_size:
        text = f"'{name}' has {len(value)} bytes, expected {address_size} + {size_size}"
        raise DecodeError("property-size", at, text)
    first, second = value[:address_size], value[address_size:]
    return (
        Field(at, address_size, "big", int.from_bytes(first, "big")),
        Field(at + address_size, size_size, "big", int.from_bytes(second, "big")),
    )
