# SPDX-License-Identifier: BSD-3-Clause
"""Stops of kernels that have none of their own, made by the probe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence, TypeVar, cast

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.event import GuestEvent
from khorig.guest.facts import parse_segments
from khorig.guest.khorig_run import LIVE_CPU, KhorigRun
from khorig.guest.spec import RunSpec
from khorig.guest.told_scratch import ToldScratch
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import ORDER
from khorig.vm.elf_file import ElfFile
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine
from khorig.vm.probe.control_block import MAX_RANGES
from khorig.vm.probe.errors import NoProbe
from khorig.vm.probe.plugin import ProbeOptions, find_probe
from khorig.vm.probe.records import ProbeStop

if TYPE_CHECKING:
    from khorig.vm.probe.probe import Probe

_JUMP = "machine_kexec"  # Linux's last function in C before the next kernel

Spec = TypeVar("Spec", bound=RunSpec)


def why_no_probe(spec: RunSpec, machine: Machine, gdb: bool = False) -> str | None:
    """Why the kernels of a run get no stops by the probe: "" if none needs one, else the reason;
    None if they get them."""
    if isinstance(spec, KhorigRun):
        if spec.scenario != LIVE_CPU:
            return ""
    elif not any(map(is_linux, cast(ChainRun, spec).kernels)):
        return ""
    if gdb:
        return "a debugger stops the CPUs"
    if spec.accel != "tcg":
        return f"{spec.accel} runs no plugins of QEMU"
    try:
        find_probe(machine.emulator(spec.qemu))
    except (NoProbe, InfraError) as error:
        return str(error)
    return None


def with_probe(spec: Spec, machine: Machine, gdb: bool = False) -> Spec:
    """The same run with the stops that the probe can make in it."""
    probed = why_no_probe(spec, machine, gdb) is None
    if isinstance(spec, ChainRun) or (isinstance(spec, KhorigRun) and probed):
        return cast(Spec, dataclasses.replace(spec, probed=probed))
    return spec


def jumps_of(spec: RunSpec, elves: Mapping[str, Path]) -> dict[int, int]:
    """The address of machine_kexec in each Linux that jumps on and whose ELF is known."""
    # With kaslr it is somewhere else.
    if not isinstance(spec, ChainRun) or any(o.endswith("kaslr") for o in spec.linux_options):
        return {}
    known = {name: _address_in(elves[name]) for name in set(spec.kernels[:-1]) & set(elves)}
    jumps = {number: known.get(name) for number, name in enumerate(spec.kernels[:-1], 1)}
    return {number: address for number, address in jumps.items() if address is not None}


def _address_in(elf: Path) -> int | None:
    try:
        return ElfFile(elf).symbol(_JUMP)
    except (OSError, ValueError):  # a khorig, or a Linux that cannot jump
        return None


@dataclass
class KernelStops:
    """Arms the probe while a kernel waits at `sealed`, and names its stops.

    The next kernel's segments lie in scratch, by the ABI, or where a khorig reports them: the first
    fetch from there by a CPU whose virtual address is the physical one is the next kernel's, on
    x86_64 behind a Linux purgatory's. A Linux whose `machine_kexec` is at a known address is looked
    at there, not when its user space speaks for the last time. In a measured run all marks of the
    running kernel are armed as well.
    """

    spec: RunSpec
    jumps: Mapping[int, int]  # the address of machine_kexec in these generations
    marks: Mapping[int, Sequence[int]] = field(default_factory=dict)  # of measured generations
    _told: ToldScratch = field(default_factory=ToldScratch)
    _segments: tuple[PhysRange, ...] = ()
    _crash_areas: tuple[PhysRange, ...] = ()  # where a crash kernel lies
    _held: GuestEvent | None = None  # the guest's `sealed`, until its machine_kexec
    _entering: int = 0  # generation whose first instruction is awaited
    _probe: Probe | None = None
    _running: int = 1  # the generation whose marks are armed

    @staticmethod
    def of(spec: RunSpec, elves: Mapping[str, Path]) -> KernelStops:
        """Those of a run, whose kernels have these ELF files."""
        if not isinstance(spec, ChainRun) or not spec.measured:
            return KernelStops(spec, jumps_of(spec, elves))
        from khorig.run.marks import marks_of  # of few runs

        marks = {n: tuple(found.values()) for n, found in marks_of(spec, elves).items()}
        return KernelStops(spec, jumps_of(spec, elves), marks)

    @property
    def options(self) -> ProbeOptions | None:
        """The probe that the run needs. Raises NoProbe."""
        watches = isinstance(self.spec, KhorigRun) and self.spec.probed
        counts = watches or bool(self.marks)
        if not self._is_probed and not watches:
            return None
        from khorig.vm.machines import machine_named

        emulator = machine_named(self.spec.machine).emulator(self.spec.qemu)
        return find_probe(emulator, stores=watches, fetches=counts)

    @property
    def _is_probed(self) -> bool:
        return isinstance(self.spec, ChainRun) and self.spec.probed

    def on_event(self, event: GuestEvent, probe: Probe | None = None) -> list[Finding]:
        """Where the next kernel will lie. Raises EventFieldError."""
        if not self._is_probed:
            return []
        if event.kind == "boot":
            self._told, self._segments, self._crash_areas = ToldScratch(), (), ()
            if event.generation == 1 and self.marks:  # of the others when they are entered
                self._probe = probe
                self._arm_marks()
            return self.missed()
        if event.kind == "segments":
            self._segments = tuple(s.area for s in parse_segments(event).items)
        elif event.kind == "crash-memory":
            area = PhysRange(event.address("start"), event.number("size"))
            self._crash_areas = (*self._crash_areas, area)[:MAX_RANGES]
        elif event.kind == "debugfs":
            self._told.take(event)
        return []

    @property
    def scratch(self) -> tuple[PhysRange, ...]:
        """Where the next kernel is entered."""
        if self._segments or self._crash_areas:
            return self._segments or self._crash_areas
        return tuple(area for area in self._told.areas if area.size)

    def arm(self, probe: Probe | None, event: GuestEvent) -> bool:
        """At a kernel's stop `sealed`. Returns whether the stop is put off until the kernel jumps.
        Raises InfraError when the probe does not work."""
        following = event.generation + 1
        if probe is None or event.text("at") != "sealed" or following > self.spec.generations:
            return False
        address = self.jumps.get(event.generation)
        if is_linux(self.spec.kernel_of(following)) and "entry" in self.spec.stops_of(following):
            probe.check()
            probe.stop_on_fetch(self.scratch)
            self._entering = following
        if address is None:
            return False
        probe.check()
        if not self.marks.get(event.generation):
            probe.stop_at(address)
        self._held = event
        return True

    def _arm_marks(self) -> None:
        if self._probe is not None:
            self._probe.stop_at(*self.marks.get(self._running, ()))

    def take(self, stop: ProbeStop) -> GuestEvent | None:
        """The stop as an event of the kernel that runs; None for one that nobody waits for."""
        if stop.kind == "address" and self.marks:
            self._arm_marks()  # a stop disarms them
            if self._held is None or stop.pc != self.jumps[self._held.generation]:
                return None
        if stop.kind == "address" and self._held is not None:
            held, self._held = self._held, None
            return dataclasses.replace(held, fields={**held.fields, "pc": hex(stop.pc)})
        if stop.kind == "fetch" and self._entering:
            generation, self._entering = self._entering, 0
            if self.marks:
                self._running = generation
                self._arm_marks()
            fields: dict[str, Any] = {"ev": "stop", "gen": generation, "at": "entry"}
            return GuestEvent("stop", generation, 0, 0.0, {**fields, "pc": hex(stop.pc)})
        return None

    def missed(self) -> list[Finding]:
        """Where a kernel begins: the one before did not run its machine_kexec."""
        if self._held is None:
            return []
        generation = self._held.generation
        address = self.jumps[generation]
        what = f"generation {generation} jumped without running machine_kexec at {address:#018x}"
        evidence = ("is the kernel that runs the one whose vmlinux is beside it?",)
        return [Finding(ORDER, what, generation=generation, evidence=evidence)]
