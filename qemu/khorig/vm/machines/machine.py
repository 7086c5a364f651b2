# SPDX-License-Identifier: BSD-3-Clause
"""Properties of an emulated machine."""

from __future__ import annotations

import abc
import os
import re
import shutil
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar, Mapping, Sequence

from khorig.guest.machine import MachineFacts, RunningCpu
from khorig.mem.guest_ram import RamRegion
from khorig.mem.ram_layouts import RAM_LAYOUTS, RamLayout
from khorig.vm.cpu_state import CpuState, cpu_blocks, registers_of
from khorig.vm.errors import InfraError
from khorig.vm.firmware import Firmware

# The kernel is loaded at 2 MiB. With less RAM QEMU or the firmware fails before the kernel can
# report it.
_MIN_RAM = 8 << 20


@dataclass(frozen=True)
class Machine(abc.ABC):
    """One machine, with a subclass per architecture for everything architecture-specific."""

    name: str  # name in QEMU's -machine
    max_ram: int  # bytes addressable with the selected CPU
    summary: str
    _: KW_ONLY
    has_pci: bool = True
    layout_of: str = ""  # the machine of RAM_LAYOUTS that has its RAM at the same addresses

    arch: ClassVar[str]
    binary: ClassVar[str]  # QEMU binary
    package: ClassVar[str]  # its Debian package
    host_cpus: ClassVar[tuple[str, ...]]  # `uname -m` of hosts whose KVM runs this architecture
    kernel_suffix: ClassVar[str]  # of the image that QEMU's -kernel loads
    pc_pattern: ClassVar[re.Pattern[str]]  # in `info registers`
    linux_text: ClassVar[int]  # where Linux maps its text, without KASLR
    cpu_property: ClassVar[str]  # of QEMU's CPU models: those that the kernel can run on have it

    @property
    def layout(self) -> RamLayout:
        """Where its RAM lies."""
        return RAM_LAYOUTS[self.layout_of or self.name]

    @property
    def direct_boot_arguments(self) -> tuple[str, ...]:
        """QEMU's arguments for what starts the kernel that -kernel names."""
        return ()

    @property
    def replay_arguments(self) -> tuple[str, ...]:
        """QEMU's arguments for what it cannot record or replay otherwise."""
        return ()

    @property
    def id(self) -> str:
        """ "x86_64-q35" """
        return f"{self.arch}-{self.name}"

    def emulator(self, qemu: str) -> str:
        """The program that runs the machine, of the QEMU that --qemu names: "" for the one in
        $PATH, a program, a folder of programs, or a version that `khorig qemu fetch` has fetched.
        Raises InfraError with the reason when there is none."""
        if not qemu:
            return self.binary
        from khorig.vm.fetched_qemu import fetched_folder  # few runs need it

        if os.sep not in qemu and (folder := fetched_folder(qemu)) is not None:
            return os.fspath(folder / self.binary)
        path = Path(qemu)
        if path.is_dir():
            path /= self.binary
        if shutil.which(path.absolute()) is not None:
            return os.fspath(path.absolute())
        if os.sep in qemu or path.exists():
            raise InfraError(f"--qemu {qemu}: {path} is no program")
        raise InfraError(f"--qemu {qemu}: not fetched (fix: khorig qemu fetch {qemu})")

    def ram_regions(self, ram_bytes: int) -> list[RamRegion]:
        """Where the RAM of `ram_bytes` lies and at which offset of its backing file, ascending."""
        return self.layout.regions(ram_bytes)

    @abc.abstractmethod
    def arguments(self, accel: str, cpu: str = "", options: Sequence[str] = ()) -> list[str]:
        """QEMU's arguments for machine, CPU and the device through which the guest ends QEMU.
        `accel` is "tcg" or "kvm", `cpu` the CPU if not all features that it has, `options` more
        "name=value" of the machine."""

    @property
    @abc.abstractmethod
    def firmware(self) -> Firmware | None:
        """The machine's UEFI firmware, or None when there is none for it."""

    def hides_status(self, accel: str) -> bool:
        """Whether QEMU ends with status 0 whatever the guest wants it to end with."""
        return False

    def icount_shift(self, boot: str) -> int:
        """Log2 of the virtual nanoseconds that one instruction takes in a run that starts so."""
        return self.firmware.icount_shift if boot == "uefi" and self.firmware else 0

    @property
    def has_levels(self) -> bool:
        """Whether its CPUs have exception levels that a kernel hands on."""
        return False

    def level(self, registers: str) -> int | None:
        """The exception level of the first CPU, by QEMU's `info registers`; None if it does not
        show it."""
        return None

    def running_cpus(self, registers: str) -> tuple[RunningCpu, ...]:
        """The CPUs after the first that execute instructions, by QEMU's `info registers -a`. Empty
        when they cannot be told from halted ones by it."""
        return ()

    def cpu_states(self, registers: str) -> tuple[CpuState, ...]:
        """All CPUs in QEMU's `info registers -a`; those without a PC are left out."""
        found = []
        for number, block in cpu_blocks(registers):
            state = self.cpu_state(number, registers_of(block), block)
            if state is not None:
                found.append(state)
        return tuple(found)

    @abc.abstractmethod
    def cpu_state(self, number: int, values: Mapping[str, int], block: str) -> CpuState | None:
        """A CPU by its registers and the text that they were read from. None without a PC."""

    def facts(self, ram_bytes: int) -> MachineFacts:
        """The same for a judge."""
        return MachineFacts(self.arch, self.name, ram_bytes)

    def refuses(self, ram_bytes: int, boot: str = "direct") -> str | None:
        """Why this machine cannot have that much RAM or cannot be started so, or None when it
        can."""
        if ram_bytes < _MIN_RAM:
            return f"at least {_MIN_RAM >> 20} MiB of RAM needed to load a kernel"
        if ram_bytes > self.max_ram:
            return f"{self.name} supports at most {self.max_ram >> 30} GiB of RAM"
        if boot == "uefi" and self.firmware is None:
            return f"no UEFI firmware for {self.name}"
        return None
