# SPDX-License-Identifier: BSD-3-Clause
"""How a kernel learns of the handover: what the boot protocol's parameters say."""

from __future__ import annotations

from typing import Callable, Mapping

from khorig.kho.boot.boot_params import find_in_boot_params
from khorig.kho.boot.device_tree import find_in_device_tree
from khorig.kho.boot.handoff_fields import Handoff
from khorig.mem.memory import PhysicalMemory

_FINDERS: Mapping[str, Callable[[PhysicalMemory, int], Handoff | None]] = {
    "x86_64": find_in_boot_params,
    "arm64": find_in_device_tree,
}


def find_handoff(memory: PhysicalMemory, arch: str, parameters: int) -> Handoff | None:
    """Reads the parameters at `parameters` (boot_params, device tree) that a kernel was entered
    with. None when they carry no handover.

    Raises DecodeError: "outside-ram", "setup-data" (x86_64: a broken list), "fdt-magic",
    "fdt-total-size", "fdt-structure", "property-size" (arm64). KeyError for an unknown `arch`.
    """
    return _FINDERS[arch](memory, parameters)
