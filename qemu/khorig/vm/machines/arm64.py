# SPDX-License-Identifier: BSD-3-Clause
"""virt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from khorig.guest.machine import RunningCpu
from khorig.vm.cpu_state import CpuState
from khorig.vm.firmware import Firmware
from khorig.vm.machines.machine import Machine

_AAVMF = Firmware(
    code=Path("/usr/share/AAVMF/AAVMF_CODE.fd"),
    variables=Path("/usr/share/AAVMF/AAVMF_VARS.fd"),
    package="qemu-efi-aarch64",
    loader="EFI/BOOT/BOOTAA64.EFI",
    # Without acpi=off the firmware passes no device tree; without a zero menu timeout it waits 5 s
    # for a key.
    extra=("-machine", "acpi=off", "-boot", "menu=on,splash-time=0"),
)

_X0 = re.compile(r"\bX00=([0-9a-f]+)")
_PSTATE = re.compile(r"\bPSTATE=([0-9a-f]{1,16})\b")
_PSCI_CPU_OFF = 0x84000002  # Arm DEN 0022
_MASKED, _LEVEL = 0x80, 0xC  # in PSTATE: the I bit, and the exception level
_GENERAL = re.compile(r"X\d\d|SP|PC|PSTATE")


@dataclass(frozen=True)
class Arm64(Machine):
    """QEMU's virt machine: RAM is one range from 1 GiB."""

    arch = "arm64"
    binary = "qemu-system-aarch64"
    package = "qemu-system-arm"
    host_cpus = ("aarch64", "arm64")
    kernel_suffix = ".bin"  # QEMU passes no device tree to an ELF
    pc_pattern = re.compile(r"\bPC=([0-9a-f]+)")
    cpu_property = "aarch64"
    linux_text = 0xFFFF_8000_8001_0000

    @property
    def has_levels(self) -> bool:
        """See Machine."""
        return True

    def level(self, registers: str) -> int | None:
        """See Machine."""
        status = _PSTATE.search(registers)
        return (int(status[1], 16) & _LEVEL) >> 2 if status else None

    def running_cpus(self, registers: str) -> tuple[RunningCpu, ...]:
        """See Machine. QEMU does not tell who is off, but a CPU that is has called CPU_OFF, which
        does not return and leaves its number in X0; one that was never on is at 0."""
        calls = zip(self.pc_pattern.findall(registers), _X0.findall(registers))
        return tuple(
            RunningCpu(number, int(pc, 16))
            for number, (pc, x0) in enumerate(calls)
            if number > 0 and int(pc, 16) and int(x0, 16) != _PSCI_CPU_OFF
        )

    def cpu_state(self, number: int, values: Mapping[str, int], block: str) -> CpuState | None:
        """See Machine. Whether it waits in WFI its registers do not tell."""
        if (pc := values.get("PC")) is None:
            return None
        status = values.get("PSTATE")
        return CpuState(
            number,
            pc,
            values.get("SP", 0),
            values.get("X29", 0),
            {name: value for name, value in values.items() if _GENERAL.fullmatch(name)},
            is_on=number == 0 or (pc != 0 and values.get("X00") != _PSCI_CPU_OFF),
            interrupts=None if status is None else not status & _MASKED,
            user=status is not None and not status & _LEVEL,
        )

    def arguments(self, accel: str, cpu: str = "", options: Sequence[str] = ()) -> list[str]:
        """See Machine."""
        # KVM has no other interrupt controller than the host. Without dtb-randomness=off QEMU puts
        # other seeds into the device tree in every run.
        gic = "host" if accel == "kvm" else "3"
        name = f"{self.name},accel={accel},gic-version={gic}"
        return [
            *("-machine", ",".join((name, "dtb-randomness=off", *options))),
            *("-cpu", cpu or ("host" if accel == "kvm" else "max")),
            # Linux exits QEMU from user space.
            *("-semihosting-config", "enable=on,target=native,userspace=on"),
        ]

    def hides_status(self, accel: str) -> bool:
        """See Machine. The status goes by semihosting, which only an emulated CPU has; the guest
        then switches the machine off."""
        return accel == "kvm"

    @property
    def firmware(self) -> Firmware | None:
        """See Machine."""
        return _AAVMF
