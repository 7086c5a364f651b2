# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from khorig.guest.poke import Poke

BOOTS = ("direct", "uefi")  # how the first kernel of a run is started


@dataclass(frozen=True)
class RunSpec:
    """One run: one VM from its first instruction to its verdict."""

    arch: str
    machine: str
    scenario: str = "handover"
    generations: int = 3
    memory: int = 256 << 20  # bytes
    seed: int = 0x5EED0001
    timeout_s: float = 60.0
    fault: str | None = None  # a deliberate defect of the kernel, by its name there
    tamper: str | None = None  # what the host does to guest memory, by its name in khorig.run.tamper
    pokes: tuple[Poke, ...] = ()  # what the host writes at stops
    stops: tuple[str, ...] = ("sealed", "entry", "restored")
    extra_options: tuple[str, ...] = ()  # more guest command line, "name=value"
    extra_qemu: tuple[str, ...] = ()
    expected_status: int = 33  # of the guest, docs/abi.md
    # Generations that must refuse their handover, with the cause ("fdt-magic") of each. A cold boot
    # in such a generation is expected, in every other it fails.
    expected_refusals: Mapping[int, str] = field(default_factory=dict)
    boot: str = "direct"  # or "uefi": by the machine's firmware and the EFI loader
    # Which kernel runs in each generation, "khorig" or what khorig.linux calls one. Empty when all
    # are khorig's own.
    kernels: tuple[str, ...] = ()
    # Whether virtual time is counted in instructions, so that a run depends on nothing but its
    # inputs. A Linux takes several times as long that way.
    counted: bool = True
    smp: int = 1  # CPUs
    linux_options: tuple[str, ...] = ()  # more of the command line of each Linux
    extra_initrd: str = ""  # a file with more of a Linux's user space, as cpio

    def stops_of(self, generation: int) -> tuple[str, ...]:
        """Where a generation stops. A Linux has no first line of its own to stop at."""
        if not self.kernels or self.kernels[generation - 1] == "khorig":
            return self.stops
        return tuple(stop for stop in self.stops if stop != "entry")

    @property
    def what(self) -> str:
        """The scenario, or which kernels in a row."""
        return "+".join(Path(kernel).name for kernel in self.kernels) or self.scenario

    @property
    def id(self) -> str:
        """For people: "handover/x86_64-q35", with what else is not the default."""
        name = f"{self.what}/{self.arch}-{self.machine}"
        if self.memory != RunSpec.memory:
            name += f"-{self.memory >> 20}M"
        if self.smp != RunSpec.smp:
            name += f"-smp{self.smp}"
        boot = "" if self.boot == RunSpec.boot else self.boot
        for part in (boot, self.fault, self.tamper):
            if part:
                name += f"-{part}"
        return name + "".join(f"-poke-{poke.slug}" for poke in self.pokes)
