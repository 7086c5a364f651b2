# SPDX-License-Identifier: BSD-3-Clause
"""The handover in x86's boot_params (Linux Documentation/arch/x86/boot.rst, uapi setup_data.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator

from khorig.kho.boot.handoff_fields import Field, Handoff
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, read_bytes

_SETUP_DATA_POINTER = 0x250  # offset in boot_params of the list's head
_HEAD = struct.Struct("<QII")  # next, type, len
_SETUP_KEXEC_KHO = 10
_KHO_DATA = struct.Struct("<4Q")  # fdt_addr, fdt_size, scratch_addr, scratch_size
_MAX_NODES = 64

_RSDP = 0x70  # offset in boot_params of acpi_rsdp_addr

# Type and length of the node that names a handover, as one word.
KHO_DATA_HEAD = _KHO_DATA.size << 32 | _SETUP_KEXEC_KHO


@dataclass(frozen=True)
class SetupData:
    """One node of the list."""

    kind: int
    payload: int  # physical address
    size: int  # bytes, unchecked


def find_in_boot_params(memory: PhysicalMemory, boot_params: int) -> Handoff | None:
    """See find_handoff."""
    return _find(memory, nodes_of(memory, boot_params))


def find_in_setup_data(memory: PhysicalMemory, first: int) -> Handoff | None:
    """Walks the list of setup_data from its node `first` on, which is 0 for an empty list."""
    return _find(memory, _nodes(memory, first))


def nodes_of(memory: PhysicalMemory, boot_params: int) -> Iterator[SetupData]:
    """The list of setup_data. Raises DecodeError: "outside-ram", "setup-data" for a cycle."""
    first = read_bytes(memory, boot_params + _SETUP_DATA_POINTER, 8)
    return _nodes(memory, int.from_bytes(first, "little"))


def _nodes(memory: PhysicalMemory, first: int) -> Iterator[SetupData]:
    at = first
    for _ in range(_MAX_NODES):
        if at == 0:
            return
        following, kind, size = _HEAD.unpack(read_bytes(memory, at, _HEAD.size))
        yield SetupData(kind, at + _HEAD.size, size)
        at = following
    raise DecodeError("setup-data", at, f"more than {_MAX_NODES} nodes of setup_data, or a cycle")


def _find(memory: PhysicalMemory, nodes: Iterator[SetupData]) -> Handoff | None:
    for node in nodes:
        if node.kind == _SETUP_KEXEC_KHO:
            return _kho_data(memory, node.payload, node.size)
    return None


def _kho_data(memory: PhysicalMemory, at: int, size: int) -> Handoff:
    if size != _KHO_DATA.size:
        text = f"kho_data has {size} bytes, expected {_KHO_DATA.size}"
        raise DecodeError("setup-data", at, text)
    values = _KHO_DATA.unpack(read_bytes(memory, at, size))
    root, root_size, scratch, scratch_size = (
        Field(at + 8 * i, 8, "little", value) for i, value in enumerate(values)
    )
    return Handoff(root, root_size, scratch, scratch_size)


def read_rsdp(memory: PhysicalMemory, boot_params: int) -> int:
    """acpi_rsdp_addr; 0 where nobody knows it. Raises OutsideRam."""
    return int.from_bytes(read_bytes(memory, boot_params + _RSDP, 8), "little")
