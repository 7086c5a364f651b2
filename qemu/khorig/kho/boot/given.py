# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel's boot parameters give it besides memory, initrd and handover."""

from __future__ import annotations

from collections import Counter
from typing import Mapping

import libfdt

from khorig.kho.boot.boot_params import nodes_of, read_rsdp
from khorig.kho.fdt import properties_of, read_fdt
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, read_bytes

EFI_INFO = "efi_info"
RSDP = "RSDP"
SETUP_DATA = "setup_data type "
CHOSEN = "/chosen/"

_EFI_INFO, _EFI_BYTES = 0x1C0, 32  # in boot_params
_SIGNATURES = (b"EL32", b"EL64")
_LARGEST = 2 << 20  # bytes of a device tree or a node
_NOT_TYPES = (1, 10)  # more of the memory map, the handover


def read_given(memory: PhysicalMemory, arch: str, parameters: int) -> Mapping[str, bytes]:
    """Contents by name: "setup_data type 2", "efi_info", "/chosen/linux,uefi-mmap-start". A type
    that comes more than once has numbers. Raises DecodeError."""
    found = _in_boot_params if arch == "x86_64" else _in_device_tree
    return found(memory, parameters)


def _in_boot_params(memory: PhysicalMemory, parameters: int) -> Mapping[str, bytes]:
    given: dict[str, bytes] = {}
    efi = read_bytes(memory, parameters + _EFI_INFO, _EFI_BYTES)
    if efi[:4] in _SIGNATURES:
        given[EFI_INFO] = efi[4:8] + efi[24:28]  # the system table; the map is copied
    if rsdp := read_rsdp(memory, parameters):
        given[RSDP] = rsdp.to_bytes(8, "little")
    seen: Counter[int] = Counter()
    for node in nodes_of(memory, parameters):
        if node.kind in _NOT_TYPES:
            continue
        if node.size > _LARGEST:
            text = f"node of type {node.kind} has {node.size} bytes, at most {_LARGEST}"
            raise DecodeError("setup-data", node.payload, text)
        seen[node.kind] += 1
        number = f" ({seen[node.kind]})" if seen[node.kind] > 1 else ""
        content = read_bytes(memory, node.payload, node.size)
        given[f"{SETUP_DATA}{node.kind}{number}"] = content
    return given


def _in_device_tree(memory: PhysicalMemory, parameters: int) -> Mapping[str, bytes]:
    blob = read_fdt(memory, parameters, _LARGEST)
    chosen = libfdt.fdt_path_offset(blob, "/chosen")
    if chosen < 0:
        return {}
    return {
        CHOSEN + name: bytes(value) for name, value, _ in properties_of(blob, chosen, parameters)
    }
