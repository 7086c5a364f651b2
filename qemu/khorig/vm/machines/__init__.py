# SPDX-License-Identifier: BSD-3-Clause
"""The machines that khorig runs on."""

from __future__ import annotations

from khorig.vm.machines.arm64 import Arm64
from khorig.vm.machines.machine import Machine
from khorig.vm.machines.x86_64 import X86_64

_GIB = 1 << 30

MACHINES: tuple[Machine, ...] = (
    X86_64(
        "q35",
        512 * _GIB,
        "PC with PCI Express, qboot",
        # SeaBIOS, which pc has, takes longer to start a kernel than a kernel to hand over.
        bios="qboot.rom",
        # UEFI polls an empty AHCI controller.
        properties=",sata=off",
    ),
    X86_64("pc", 512 * _GIB, "PC with PCI (i440FX), SeaBIOS"),
    X86_64(
        "microvm",
        512 * _GIB,
        "PC without PCI, qboot",
        # QEMU's choice is a SeaBIOS that takes the end of RAM, where QEMU 10 puts the initrd.
        bios="qboot.rom",
        has_firmware=False,
    ),
    Arm64("virt", 255 * _GIB, "Arm virtual machine, device tree"),
)

DEFAULT_MACHINES = ("q35", "virt")  # one for each architecture

ARCHITECTURES: tuple[str, ...] = tuple(dict.fromkeys(m.arch for m in MACHINES))


def machine_named(name: str) -> Machine:
    """The machine of that name. Raises KeyError."""
    for machine in MACHINES:
        if machine.name == name:
            return machine
    raise KeyError(name)


__all__ = ["ARCHITECTURES", "DEFAULT_MACHINES", "MACHINES", "Machine", "machine_named"]
