# SPDX-License-Identifier: BSD-3-Clause
"""Facts about the machine of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class MachineFacts:
    """Facts about the machine for the judge."""

    arch: str  # "x86_64", "arm64"
    name: str  # "q35", "pc", "microvm", "virt"
    ram_bytes: int


@dataclass(frozen=True)
class RunningCpu:
    """A secondary CPU that is not parked."""

    number: int  # in QEMU
    pc: int  # virtual address
    halted: bool = False  # in the kernel's code; an interrupt would continue it
    hardware_id: int | None = None  # APIC ID, affinity of MPIDR_EL1; None where QEMU does not tell


# The physical address of a virtual one, as the CPU with that number in QEMU has it; None if its
# page tables do not map it.
Translate = Callable[[int, int], int | None]


def translates_nothing(number: int, virtual: int) -> int | None:
    """Where nobody looks at CPUs."""
    return None


BUS_MASTER = "bus mastering on"
NOT_RESET = "not reset"  # a virtio device
INTERRUPT = "interrupt pending"
WATCHDOG = "watchdog armed"


@dataclass(frozen=True)
class Outside:
    """What a CPU has fetched or stored outside of the pages that it should keep to."""

    accesses: str  # "fetches", "stores"
    count: int
    pc: int | None = None  # of the first one
    physical: int | None = None  # where that went; None outside of RAM


@dataclass(frozen=True)
class PciPlace:
    """Where a PCI function is."""

    function: int  # bus << 8 | device << 3 | function
    memory: tuple[int, ...] = ()  # physical addresses of its registers
    behind: tuple[int, int] | None = None  # of a bridge: first and last bus behind it

    def is_above(self, function: int) -> bool:
        """Whether it is a bridge between a root bus and that function."""
        return self.behind is not None and self.behind[0] <= function >> 8 <= self.behind[1]


@dataclass(frozen=True)
class CpuMode:
    """Control registers of an x86_64 CPU."""

    number: int  # in QEMU
    pc: int  # virtual address
    cr0: int
    cr4: int
    efer: int


@dataclass(frozen=True)
class CpuModes:
    """What QEMU tells about the modes of the CPUs at a stop."""

    cpus: tuple[CpuMode, ...] = ()
    has: frozenset[str] = frozenset()  # "LA57", "SMEP", "SMAP", "UMIP", "PKE", "NXE"
    unread: str = ""  # why they could not be read


@dataclass(frozen=True)
class LeftOn:
    """A device, timer or interrupt controller that is on."""

    device: str  # "PCI function 40:00.0"
    register: str  # "command"
    value: int
    why: str  # "bus mastering on"
    address: int | None = None  # physical, of a register in memory
    pci: PciPlace | None = None  # of a PCI function
    tables: int | None = None  # physical address of the topmost table of an IOMMU

    @property
    def text(self) -> str:
        """One line without the device."""
        return f"{self.why}: {self.register} {self.value:#010x}"


@dataclass(frozen=True)
class DeviceStates:
    """What QEMU tells about devices at a stop."""

    seen: tuple[str, ...] = ()  # "PCI functions", "local APIC", ...
    left_on: tuple[LeftOn, ...] = ()
    unread: tuple[str, ...] = ()  # what could not be read, with the reason

    @property
    def writers(self) -> tuple[str, ...]:
        """The devices that can write to memory by themselves."""
        names = (on.device for on in self.left_on if on.why in (BUS_MASTER, NOT_RESET))
        return tuple(dict.fromkeys(names))
