# SPDX-License-Identifier: BSD-3-Clause
"""What every run has, whichever kernels it boots."""

from __future__ import annotations

import abc
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import ClassVar, Mapping, Self

from khorig.guest.poke import Poke

BOOTS = ("direct", "uefi")  # how the first kernel of a run is started
_PAGE_SHIFT = 12  # of khorig, and of all that is on x86_64
KHORIG = "khorig"  # the name of the rig's own kernel in a chain


@dataclass(frozen=True)
class RunSpec(abc.ABC):
    """One run: one VM from its first instruction to its verdict. Immutable and hashable.

    What depends on which kernels boot is asked here and answered by the two kinds, KhorigRun and
    ChainRun.
    """

    kind: ClassVar[str]  # in JSON (khorig.guest.spec_json)
    verb: ClassVar[tuple[str, ...]]  # of khorig's command line

    arch: str
    machine: str
    _: KW_ONLY
    memory: int = 256 << 20  # bytes
    smp: int = 1  # CPUs
    boot: str = "direct"  # or "uefi": by the machine's firmware and the EFI loader
    seed: int = 0x5EED0001
    timeout_s: float = 60.0
    stops: tuple[str, ...] = ("sealed", "entry", "restored")
    tamper: str | None = (
        None  # what the host does to guest memory, by its name in khorig.run.tamper
    )
    pokes: tuple[Poke, ...] = ()  # what the host writes at stops
    extra_options: tuple[str, ...] = ()  # more of the command line of each khorig, "name=value"
    extra_qemu: tuple[str, ...] = ()
    expected_status: int = 33  # of the guest, docs/abi.md
    # Generations that must refuse their handover, with the cause ("fdt-magic") of each. A cold boot
    # in such a generation is expected, in every other it fails.
    expected_refusals: Mapping[int, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        causes = MappingProxyType(dict(self.expected_refusals))
        object.__setattr__(self, "expected_refusals", causes)

    @property
    @abc.abstractmethod
    def generations(self) -> int:
        """Kernels in a row, the first included."""

    @property
    @abc.abstractmethod
    def counted(self) -> bool:
        """Whether virtual time is counted in instructions, so that a run depends on nothing but its
        inputs."""

    @property
    @abc.abstractmethod
    def what(self) -> str:
        """The scenario, or the names of the kernels."""

    @property
    @abc.abstractmethod
    def defects(self) -> tuple[str, ...]:
        """What is broken on purpose: the fault of the kernel, the tampering of the host."""

    @abc.abstractmethod
    def kernel_of(self, generation: int) -> str:
        """KHORIG, or what khorig.linux calls the kernel that boots as `generation` (from 1 on)."""

    @abc.abstractmethod
    def command_line(self, generation: int, with_stops: bool = True) -> str:
        """Of the kernel that boots as `generation` (docs/abi.md). A KhorigRun has one, which each
        kernel hands on."""

    @abc.abstractmethod
    def first(self, generations: int) -> Self:
        """The same run, cut off after that many generations."""

    @property
    @abc.abstractmethod
    def rerun_words(self) -> tuple[str, ...]:
        """What asks for this run after the verb, as far as only this kind has it."""

    def stops_of(self, generation: int) -> tuple[str, ...]:
        """Where a generation stops."""
        return self.stops

    def page_shift_of(self, *generations: int) -> int | None:
        """Of the kernels of these generations, all if there are none. None where it is not known: a
        Linux for arm64 has pages of 4, 16 or 64 KiB."""
        every = range(1, self.generations + 1)
        kernels = {self.kernel_of(g) for g in every if not generations or g in generations}
        return _PAGE_SHIFT if self.arch != "arm64" or kernels <= {KHORIG} else None

    @property
    def id(self) -> str:
        """For people: "handover/x86_64-q35", with what else is not the default."""
        name = f"{self.what}/{self.arch}-{self.machine}"
        if self.memory != RunSpec.memory:
            name += f"-{self.memory >> 20}M"
        if self.smp != RunSpec.smp:
            name += f"-smp{self.smp}"
        boot = () if self.boot == RunSpec.boot else (self.boot,)
        pokes = (f"poke-{poke.slug}" for poke in self.pokes)
        return "-".join((name, *boot, *self.defects, *pokes))
