# SPDX-License-Identifier: BSD-3-Clause
"""The firmware's memory map, as boot parameters of an EFI loader name it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator

import libfdt

from khorig.kho.fdt import properties_of, read_fdt
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

_INFO = 0x1C0  # offset of efi_info in boot_params
_FIELDS = struct.Struct("<4s7I")
_SIGNATURE = b"EL64"
_LARGEST_TREE = 2 << 20
_NAMES = ("linux,uefi-mmap-size", "linux,uefi-mmap-desc-size")
_START = "linux,uefi-mmap-start"
_DESCRIPTOR = struct.Struct("<I4x4Q")  # type, physical, virtual, pages, attributes
_LARGEST = 1 << 20
_LARGEST_DESCRIPTOR = 4096
_PAGE = 4096  # UEFI's, on every architecture
_RUNTIME = 1 << 63
_FREE = (1, 2, 3, 4, 7)  # loader, boot services, conventional memory


@dataclass(frozen=True)
class EfiDescriptor:
    """One range of it."""

    kind: int
    area: PhysRange
    virtual: int
    attributes: int

    @property
    def is_free(self) -> bool:
        """Whether a kernel may use it as RAM."""
        return self.kind in _FREE and not self.attributes & _RUNTIME


@dataclass(frozen=True)
class EfiMap:
    """How large it is, and where."""

    size: int  # bytes
    descriptor_size: int
    address: int = 0

    @property
    def count(self) -> int:
        """Entries."""
        return self.size // self.descriptor_size if self.descriptor_size else 0


def read_descriptors(memory: PhysicalMemory, efi_map: EfiMap) -> Iterator[EfiDescriptor]:
    """All of a map that go no further than the address space. Raises DecodeError: "efi-map" for
    sizes that cannot be, "outside-ram"."""
    step = efi_map.descriptor_size
    if not _DESCRIPTOR.size <= step <= _LARGEST_DESCRIPTOR or efi_map.size > _LARGEST:
        text = f"{efi_map.size} bytes in descriptors of {step}"
        raise DecodeError("efi-map", efi_map.address, text)
    content = read_bytes(memory, efi_map.address, efi_map.size)
    for at in range(0, len(content) - step + 1, step):
        kind, physical, virtual, pages, attributes = _DESCRIPTOR.unpack_from(content, at)
        if pages and physical + pages * _PAGE <= 1 << 64:
            area = PhysRange(physical, pages * _PAGE)
            yield EfiDescriptor(kind, area, virtual, attributes)


def read_efi_map(memory: PhysicalMemory, arch: str, parameters: int) -> EfiMap | None:
    """None for parameters of any other loader. Raises DecodeError."""
    found = _in_boot_params if arch == "x86_64" else _in_device_tree
    return found(memory, parameters)


def _in_boot_params(memory: PhysicalMemory, parameters: int) -> EfiMap | None:
    fields = _FIELDS.unpack(read_bytes(memory, parameters + _INFO, _FIELDS.size))
    address = fields[7] << 32 | fields[4]
    return EfiMap(fields[5], fields[2], address) if fields[0] == _SIGNATURE else None


def _in_device_tree(memory: PhysicalMemory, parameters: int) -> EfiMap | None:
    blob = read_fdt(memory, parameters, _LARGEST_TREE)
    chosen = libfdt.fdt_path_offset(blob, "/chosen")
    if chosen < 0:
        return None
    found = {name: value for name, value, _ in properties_of(blob, chosen, parameters)}
    if not all(len(found.get(name, b"")) == 4 for name in _NAMES):
        return None
    size, step = (int.from_bytes(found[name], "big") for name in _NAMES)
    return EfiMap(size, step, int.from_bytes(found.get(_START, b""), "big"))
