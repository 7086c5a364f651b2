# SPDX-License-Identifier: BSD-3-Clause
"""The firmware's memory map, as boot parameters of an EFI loader name it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import libfdt

from khorig.kho.fdt import properties_of, read_fdt
from khorig.mem.memory import PhysicalMemory, read_bytes

_INFO = 0x1C0  # offset of efi_info in boot_params
_FIELDS = struct.Struct("<4s7I")
_SIGNATURE = b"EL64"
_LARGEST_TREE = 2 << 20
_NAMES = ("linux,uefi-mmap-size", "linux,uefi-mmap-desc-size")


@dataclass(frozen=True)
class EfiMap:
    """How large it is."""

    size: int  # bytes
    descriptor_size: int

    @property
    def count(self) -> int:
        """Entries."""
        return self.size // self.descriptor_size if self.descriptor_size else 0


def read_efi_map(memory: PhysicalMemory, arch: str, parameters: int) -> EfiMap | None:
    """None for parameters of any other loader. Raises DecodeError."""
    found = _in_boot_params if arch == "x86_64" else _in_device_tree
    return found(memory, parameters)


def _in_boot_params(memory: PhysicalMemory, parameters: int) -> EfiMap | None:
    fields = _FIELDS.unpack(read_bytes(memory, parameters + _INFO, _FIELDS.size))
    return EfiMap(fields[5], fields[2]) if fields[0] == _SIGNATURE else None


def _in_device_tree(memory: PhysicalMemory, parameters: int) -> EfiMap | None:
    blob = read_fdt(memory, parameters, _LARGEST_TREE)
    chosen = libfdt.fdt_path_offset(blob, "/chosen")
    if chosen < 0:
        return None
    found = {name: value for name, value, _ in properties_of(blob, chosen, parameters)}
    if not all(len(found.get(name, b"")) == 4 for name in _NAMES):
        return None
    return EfiMap(*(int.from_bytes(found[name], "big") for name in _NAMES))
