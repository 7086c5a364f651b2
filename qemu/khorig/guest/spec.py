# SPDX-License-Identifier: BSD-3-Clause
"""Common specification of runs."""

from __future__ import annotations

import abc
import re
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Mapping, Self

from khorig.guest.poke import Poke

ACCELERATORS = ("tcg", "kvm")
BOOTS = ("direct", "uefi")  # boot methods of the first kernel
_PAGE_SHIFT = 12  # of every kernel on x86_64
_HANDED_OVER = ("entry", "refused")  # stops before a kernel has anything of its own
_NO_PART_OF_A_NAME = re.compile(r"[^\w.@=+-]")
KHORIG = "khorig"  # name of the rig's own kernel in a chain
PAGE_SIZES = ("4K", "16K", "64K")  # that khorig is built for; larger ones for arm64 alone


def khorig_with(page_size: str) -> str:
    """Name of the rig's kernel with pages of that size."""
    return KHORIG if page_size == PAGE_SIZES[0] else f"{KHORIG}-{page_size.lower()}"


# The rig's kernels and their page shifts.
KHORIGS = MappingProxyType({khorig_with(size): 12 + 2 * n for n, size in enumerate(PAGE_SIZES)})


@dataclass(frozen=True)
class RunSpec(abc.ABC):
    """One run: one VM from its first instruction to its verdict. Immutable and hashable.

    KhorigRun and ChainRun implement what depends on the kernels.
    """

    kind: ClassVar[str]  # in JSON (khorig.guest.spec_json)
    verb: ClassVar[tuple[str, ...]]  # khorig's subcommand

    arch: str
    machine: str
    _: KW_ONLY
    memory: int = 256 << 20  # bytes
    numa: tuple[int, ...] = ()  # bytes of each NUMA node, together `memory`; empty: no NUMA
    smp: int = 1  # CPUs
    boot: str = "direct"  # or "uefi": by firmware and the EFI loader
    seed: int = 0x5EED0001
    timeout_s: float = 60.0
    stops: tuple[str, ...] = ("sealed", "entry", "restored")
    tamper: str | None = None  # name in khorig.run.tamper
    pokes: tuple[Poke, ...] = ()  # applied by the host at stops
    extra_options: tuple[str, ...] = ()  # for the command line of each khorig, "name=value"
    devices: tuple[str, ...] = ()  # that the scenario needs (khorig.vm.needed_devices)
    extra_qemu: tuple[str, ...] = ()
    cpu: str = ""  # of QEMU's -cpu; "" for all features that the accelerator has
    machine_options: tuple[str, ...] = ()  # of QEMU's -machine, "name=value"
    qemu: str = ""  # which QEMU (khorig.vm.emulator); "" for the one in $PATH
    accel: str = "tcg"  # or "kvm"
    expected_status: int = 33  # of the guest, docs/abi.md
    # Generations that must refuse their handover, with the cause ("fdt-magic"). Only these may boot
    # cold after a jump.
    expected_refusals: Mapping[int, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        causes = MappingProxyType(dict(self.expected_refusals))
        object.__setattr__(self, "expected_refusals", causes)

    @property
    @abc.abstractmethod
    def generations(self) -> int:
        """Number of kernels, including the first."""

    @property
    @abc.abstractmethod
    def counted(self) -> bool:
        """Whether virtual time counts instructions (icount), so that a run is reproducible."""

    @property
    @abc.abstractmethod
    def repeatable(self) -> bool:
        """Whether to do a failed run again is a matter of seconds, and gives the same run."""

    @property
    @abc.abstractmethod
    def what(self) -> str:
        """The scenario, or the names of the kernels."""

    @property
    @abc.abstractmethod
    def defects(self) -> tuple[str, ...]:
        """Injected fault and tampering."""

    @property
    def variant(self) -> tuple[str, ...]:
        """What else is part of the name of the run."""
        return ()

    @abc.abstractmethod
    def kernel_of(self, generation: int) -> str:
        """One of KHORIGS, or the name of the Linux that boots as `generation` (from 1)."""

    @abc.abstractmethod
    def command_line(self, generation: int, with_stops: bool = True) -> str:
        """Command line of the kernel of `generation` (docs/abi.md). A KhorigRun has one for all
        generations."""

    @abc.abstractmethod
    def first(self, generations: int) -> Self:
        """The same run with fewer generations."""

    @property
    @abc.abstractmethod
    def rerun_words(self) -> tuple[str, ...]:
        """Options of the rerun command specific to this kind."""

    def stops_of(self, generation: int) -> tuple[str, ...]:
        """The stops of a generation."""
        return self.stops

    @property
    def crash_kernel(self) -> int:
        """The generation that boots as the crash kernel of the one before; 0: none does."""
        return 0

    def programs_of(self, generation: int) -> tuple[tuple[str, ...], ...]:
        """The words of each program of the user's that a generation runs."""
        return ()

    def page_shift_of(self, *generations: int) -> int | None:
        """Page shift of the kernels of these generations (default: all). None if they differ, or
        if it is unknown: Linux for arm64 has pages of 4, 16 or 64 KiB."""
        if self.arch != "arm64":
            return _PAGE_SHIFT
        chosen = [g for g in generations if 0 < g <= self.generations]
        every = range(1, self.generations + 1)
        shifts = {self._shift_of(g) for g in chosen or every}
        return shifts.pop() if len(shifts) == 1 else None

    def _shift_of(self, generation: int) -> int | None:
        return KHORIGS.get(self.kernel_of(generation))

    def page_shift_at(self, generation: int, at: str) -> int | None:
        """Page shift of the kernel whose handover is in memory at a stop, as `page_shift_of`. At
        the end of a run, whenever that is, one that all kernels have."""
        return self.page_shift_of(*self._writers(generation, at))

    def _writers(self, generation: int, at: str) -> tuple[int, ...]:
        if at == "end":
            return ()
        return (generation - 1 if at in _HANDED_OVER and generation > 1 else generation,)

    def geometry_shift(self, generation: int, at: str) -> int:
        """As `page_shift_at`, where a Linux is taken to have that of the khorig beside it: with any
        other they refuse each other."""
        if (known := self.page_shift_at(generation, at)) is not None:
            return known
        every = map(self.kernel_of, range(1, self.generations + 1))
        return next((KHORIGS[name] for name in every if name in KHORIGS), _PAGE_SHIFT)

    @property
    def id(self) -> str:
        """ "handover/x86_64-q35", with everything that is not the default."""
        name = f"{self.what}/{self.arch}-{self.machine}"
        if self.memory != RunSpec.memory:
            name += f"-{self.memory >> 20}M"
        if self.numa:
            name += f"-numa{len(self.numa)}"
        if self.smp != RunSpec.smp:
            name += f"-smp{self.smp}"
        boot = () if self.boot == RunSpec.boot else (self.boot,)
        accel = () if self.accel == RunSpec.accel else (self.accel,)
        words = (self.cpu, *self.machine_options, self.qemu and f"qemu-{Path(self.qemu).name}")
        hardware = (_NO_PART_OF_A_NAME.sub("_", word) for word in words if word)
        pokes = (f"poke-{poke.slug}" for poke in self.pokes)
        return "-".join((name, *self.variant, *boot, *accel, *hardware, *self.defects, *pokes))
