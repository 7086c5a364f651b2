# SPDX-License-Identifier: BSD-3-Clause
"""The handover in x86's boot_params (Linux Documentation/arch/x86/boot.rst, uapi setup_data.h)."""

from __future__ import annotations

import struct

from khorig.kho.boot.handoff_fields import Field, Handoff
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, read_bytes

_SETUP_DATA_POINTER = 0x250  # offset in boot_params of the list's head
_HEAD = struct.Struct("<QII")  # next, type, len
_SETUP_KEXEC_KHO = 10
_KHO_DATA = struct.Struct("<4Q")  # fdt_addr, fdt_size, scratch_addr, scratch_size
_MAX_NODES = 64

# Type and length of the node that names a handover, as one word.
KHO_DATA_HEAD = _KHO_DATA.size << 32 | _SETUP_KEXEC_KHO


def find_in_boot_params(memory: PhysicalMemory, boot_params: int) -> Handoff | None:
    """See find_handoff."""
    first = read_bytes(memory, boot_params + _SETUP_DATA_POINTER, 8)
    return find_in_setup_data(memory, int.from_bytes(first, "little"))


def find_in_setup_data(memory: PhysicalMemory, first: int) -> Handoff | None:
    """Walks the list of setup_data from its node `first` on, which is 0 for an empty list."""
    at = first
    for _ in range(_MAX_NODES):
        if at == 0:
            return None
        following, kind, size = _HEAD.unpack(read_bytes(memory, at, _HEAD.size))
        if kind == _SETUP_KEXEC_KHO:
            return _kho_data(memory, at + _HEAD.size, size)
        at = following
    raise DecodeError("setup-data", at, f"more than {_MAX_NODES} nodes of setup_data, or a cycle")


def _kho_data(memory: PhysicalMemory, at: int, size: int) -> Handoff:
    if size != _KHO_DATA.size:
        text = f"kho_data has {size} bytes, expected {_KHO_DATA.size}"
        raise DecodeError("setup-data", at, text)
    values = _KHO_DATA.unpack(read_bytes(memory, at, size))
    root, root_size, scratch, scratch_size = (
        Field(at + 8 * i, 8, "little", value) for i, value in enumerate(values)
    )
    return Handoff(root, root_size, scratch, scratch_size)
