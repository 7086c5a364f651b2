# SPDX-License-Identifier: BSD-3-Clause
"""Finds the next kernel's boot parameters before the jump."""

from __future__ import annotations

import struct
from typing import Callable, Iterator, Mapping

import numpy as np

from khorig.kho.boot.boot_params import find_in_setup_data
from khorig.kho.boot.device_tree import find_in_device_tree
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.fdt import MAGIC_BYTES
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.scratch import check_scratch, read_scratch
from khorig.mem.errors import DecodeError
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import PhysRange, read_bytes
from khorig.run.tamper.target import CannotTamper

_PAGE = 4096
_LARGEST_TREE = 2 << 20  # maximum size of a device tree, bytes
_SETUP_KEXEC_KHO = struct.pack("<II", 10, 32)  # type and length of the node of setup_data


def find_handoff_source(memory: DumpMemory, arch: str, root: int) -> Handoff:
    """The copy that becomes the next kernel's boot parameters, found by the root address in it.
    Only between kexec load and jump. Raises CannotTamper."""
    for found in _SEARCHES[arch](memory, root):
        if found is not None and found.root.value == root:
            return found
    raise CannotTamper(f"no boot parameters with root {root:#018x} in memory")


def find_scratch_source(memory: DumpMemory, handoff: Handoff) -> tuple[int, tuple[PhysRange, ...]]:
    """The copy of the scratch array for these parameters, and its areas: the only valid array at
    its page offset in the pages around the parameters. Raises CannotTamper."""
    first = handoff.root.address - handoff.root.address % _PAGE + handoff.scratch.value % _PAGE
    for distance in range(0, _LARGEST_TREE, _PAGE):
        for at in (first + distance, first - distance):
            try:
                areas = read_scratch(memory, PhysRange(at, handoff.scratch_size.value))
            except DecodeError:
                continue
            if not check_scratch(memory, areas, GEOMETRY_4K):
                return at, areas
    raise CannotTamper(f"no scratch array near the boot parameters at {handoff.root.address:#018x}")


def _search_setup_data(memory: DumpMemory, root: int) -> Iterator[Handoff | None]:
    for at in _find(memory, struct.pack("<Q", root), key=0):
        node = at - 16
        try:
            if read_bytes(memory, node + 8, 8) == _SETUP_KEXEC_KHO:
                yield find_in_setup_data(memory, node)
        except DecodeError:
            continue


def _search_device_trees(memory: DumpMemory, root: int) -> Iterator[Handoff | None]:
    for at in _find(memory, struct.pack(">Q", root), key=1):
        last = at - at % _PAGE
        for page in range(last, max(last - _LARGEST_TREE, -1), -_PAGE):
            try:
                if read_bytes(memory, page, 4) == MAGIC_BYTES:
                    yield find_in_device_tree(memory, page)
            except DecodeError:
                break


def _find(memory: DumpMemory, pattern: bytes, key: int) -> Iterator[int]:
    """Addresses of `pattern`, 4-byte aligned. Word `key` of the pattern is the rare one."""
    wanted = np.frombuffer(pattern, dtype="<u4")[key]
    for area in memory.data():
        words = np.frombuffer(memory.view(area.begin, area.size), dtype="<u4")
        hits = np.flatnonzero(words == wanted) * 4 + (area.begin - 4 * key)
        del words
        for at in hits.tolist():
            try:
                if read_bytes(memory, at, len(pattern)) == pattern:
                    yield at
            except DecodeError:  # extends beyond RAM
                continue


_SEARCHES: Mapping[str, Callable[[DumpMemory, int], Iterator[Handoff | None]]] = {
    "x86_64": _search_setup_data,
    "arm64": _search_device_trees,
}
