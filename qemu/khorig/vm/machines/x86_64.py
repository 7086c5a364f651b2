# SPDX-License-Identifier: BSD-3-Clause
"""q35, pc and microvm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from khorig.guest.machine import RunningCpu
from khorig.vm.cpu_state import CpuState
from khorig.vm.firmware import Firmware
from khorig.vm.machines.machine import Machine

_OVMF = Firmware(
    code=Path("/usr/share/OVMF/OVMF_CODE_4M.fd"),
    variables=Path("/usr/share/OVMF/OVMF_VARS_4M.fd"),
    package="ovmf",
    loader="EFI/BOOT/BOOTX64.EFI",
    # It polls for a TPM for more than a second of virtual time, in steps of 30 us.
    icount_shift=6,
)

_CR0 = re.compile(r"\bCR0=([0-9a-f]+)")
_PROTECTED = 1
_INTERRUPTS = 0x200  # in RFLAGS
_GENERAL = re.compile(r"[RE](?:[A-D]X|[SD]I|[BSI]P|FL)|R\d+|CR[0234]|EFER")
_RESET_VECTOR = 0xFFF0


@dataclass(frozen=True)
class X86_64(Machine):
    """A PC."""

    properties: str = ""  # more of QEMU's -machine
    has_firmware: bool = True
    bios: str = ""  # the image that starts a kernel, if not QEMU's own choice

    arch = "x86_64"
    binary = "qemu-system-x86_64"
    package = "qemu-system-x86"
    host_cpus = ("x86_64",)
    kernel_suffix = ".elf"  # direct boot by its PVH note
    pc_pattern = re.compile(r"\b[RE]IP=([0-9a-f]+)")
    cpu_property = "lm"
    linux_text = 0xFFFF_FFFF_8100_0000

    def running_cpus(self, registers: str) -> tuple[RunningCpu, ...]:
        """See Machine. A CPU that waits for its start is in the state of a reset; one that halted
        in a kernel's code is in a kernel's mode."""
        running = []
        for block in re.split(r"^CPU#", registers, flags=re.MULTILINE)[1:]:
            number = int(block.split(None, 1)[0])
            pc, cr0 = self.pc_pattern.search(block), _CR0.search(block)
            if number == 0 or pc is None or cr0 is None:
                continue
            at, halted = int(pc.group(1), 16), "HLT=1" in block
            # KVM's halted flag does not cover waiting for a start.
            real_mode = not int(cr0.group(1), 16) & _PROTECTED
            if not (real_mode and (halted or at == _RESET_VECTOR)):
                running.append(RunningCpu(number, at, halted))
        return tuple(running)

    def cpu_state(self, number: int, values: Mapping[str, int], block: str) -> CpuState | None:
        """See Machine."""
        pc = values.get("RIP", values.get("EIP"))
        if pc is None:
            return None
        flags = values.get("RFL", values.get("EFL"))
        halted = "HLT=1" in block if "HLT=" in block else None
        real_mode = not values.get("CR0", _PROTECTED) & _PROTECTED
        return CpuState(
            number,
            pc,
            values.get("RSP", values.get("ESP", 0)),
            values.get("RBP", values.get("EBP", 0)),
            {name: value for name, value in values.items() if _GENERAL.fullmatch(name)},
            is_on=number == 0 or not (real_mode and (halted or pc == _RESET_VECTOR)),
            halted=halted,
            interrupts=None if flags is None else bool(flags & _INTERRUPTS),
            user="CPL=3" in block,
        )

    def arguments(self, accel: str, cpu: str = "", options: Sequence[str] = ()) -> list[str]:
        """See Machine."""
        # All features that TCG has: a kernel has to cope with what real CPUs offer, 5-level paging
        # included.
        name = f"{self.name},accel={accel}{self.properties}"
        return [
            *("-machine", ",".join((name, *options))),
            *("-cpu", cpu or ("host" if accel == "kvm" else "max")),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ]

    @property
    def direct_boot_arguments(self) -> tuple[str, ...]:
        """See Machine."""
        return ("-bios", self.bios) if self.bios else ()

    @property
    def replay_arguments(self) -> tuple[str, ...]:
        """See Machine."""
        # Its reset waits for the CPU, which waits for QEMU to go back in time (QEMU 7.2).
        return ("-global", "apic.vapic=off")

    @property
    def firmware(self) -> Firmware | None:
        """See Machine."""
        return _OVMF if self.has_firmware else None
