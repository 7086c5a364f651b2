# SPDX-License-Identifier: BSD-3-Clause
"""The supported machines."""

from __future__ import annotations

from typing import Iterator, Sequence, overload

from khorig.plugins.table import Table
from khorig.vm.machines.arm64 import Arm64
from khorig.vm.machines.machine import Machine
from khorig.vm.machines.x86_64 import X86_64

_GIB = 1 << 30

_BUILT_IN: tuple[Machine, ...] = (
    X86_64(
        "q35",
        512 * _GIB,
        "PC with PCI Express, qboot",
        # SeaBIOS, as on pc, takes longer to boot than a handover.
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
        has_pci=False,
    ),
    Arm64("virt", 255 * _GIB, "Arm virtual machine, device tree"),
)

_TABLE: Table[Machine] = Table("khorig.machines", Machine, lambda m: m.name, _BUILT_IN)


class _Machines(Sequence[Machine]):
    """The values of the table, which is read at the first use."""

    @overload
    def __getitem__(self, place: int) -> Machine:
        ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Machine]:
        ...

    def __getitem__(self, place: int | slice) -> Machine | Sequence[Machine]:
        return tuple(_TABLE.values())[place]

    def __iter__(self) -> Iterator[Machine]:
        return iter(_TABLE.values())

    def __len__(self) -> int:
        return len(_TABLE)


# QEMU's machines that are known here, and those of entry points of the group khorig.machines.
MACHINES: Sequence[Machine] = _Machines()

DEFAULT_MACHINES = ("q35", "virt")  # one per architecture

ARCHITECTURES: tuple[str, ...] = tuple(dict.fromkeys(m.arch for m in _BUILT_IN))


def machine_named(name: str) -> Machine:
    """The machine of that name. Raises KeyError."""
    return _TABLE[name]


def machine_origin(name: str) -> str:
    """The distribution that adds a machine; "" for the tree's own. Raises KeyError."""
    return _TABLE.distribution(name)


__all__ = [
    "ARCHITECTURES",
    "DEFAULT_MACHINES",
    "MACHINES",
    "Machine",
    "machine_named",
    "machine_origin",
]
