# SPDX-License-Identifier: BSD-3-Clause
"""Shows a root of unknown version."""

from __future__ import annotations

from typing import Iterator

from khorig.kho.fdt import FdtNode, parse_fdt, read_fdt
from khorig.kho.fragment import string_property
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory
from khorig.out.inspect.details import node_lines

_LARGEST = 1 << 16  # a page of 64 KiB


def foreign_lines(memory: PhysicalMemory, address: int, dts: bool) -> Iterator[str]:
    """Property names of the root and probable addresses; with `dts` its source. Nothing if it is
    not an FDT."""
    try:
        tree = parse_fdt(read_fdt(memory, address, _LARGEST), address)
    except DecodeError:
        return
    if dts:
        yield from node_lines(tree, 0)
        return
    yield f"device tree with compatible {string_property(tree, 'compatible')!r}"
    for node in (tree, *tree.children):
        for name, place in _addresses(memory, node):
            yield f"{node.name or '/'}: '{name}' is probably address {place:#x}"


def _addresses(memory: PhysicalMemory, node: FdtNode) -> Iterator[tuple[str, int]]:
    for name, raw in node.properties.items():
        value = int.from_bytes(raw, "little")
        if len(raw) == 8 and value and any(r.contains(value, 1) for r in memory.ranges):
            yield name, value
