# SPDX-License-Identifier: BSD-3-Clause
"""Devices of QEMU that a scenario can ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from khorig.vm.machines.machine import Machine


@dataclass(frozen=True)
class NeededDevice:
    """How QEMU is told to have it, the same on every machine that can."""

    arguments: tuple[str, str]  # QEMU's -device and its value
    on_pci: bool = True

    def refuses(self, machine: Machine) -> str | None:
        """Why the machine cannot have it, or None."""
        return f"{machine.name} has no PCI" if self.on_pci and not machine.has_pci else None

    def is_in(self, qemu: Sequence[str]) -> bool:
        """Whether these arguments for QEMU have it already."""
        model = self.arguments[1].partition(",")[0]
        pairs = zip(qemu, qemu[1:])
        return any(
            option.lstrip("-") == "device" and value.partition(",")[0] == model
            for option, value in pairs
        )


# By the name in a scenario's needs, "device=NAME".
NEEDED_DEVICES: Mapping[str, NeededDevice] = {
    # Without a mask it reaches 256 MiB, and virt has no RAM below 1 GiB.
    "edu": NeededDevice(("-device", "edu,dma_mask=0xffffffff")),
}


def device_arguments(names: Sequence[str], qemu: Sequence[str]) -> list[str]:
    """QEMU's arguments for the devices called so that `qemu` lacks. Raises KeyError."""
    devices = (NEEDED_DEVICES[name] for name in names)
    return [word for device in devices if not device.is_in(qemu) for word in device.arguments]
