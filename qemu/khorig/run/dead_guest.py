# SPDX-License-Identifier: BSD-3-Clause
"""Looks at a guest that has died: where every CPU was, and in whose kernel."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from khorig.guest.event import GuestEvent
from khorig.guest.spec import KHORIGS, RunSpec
from khorig.run.last_look import LastLook, panics
from khorig.run.running_kernel import RunningKernel
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine
from khorig.vm.symbols_by_generation import SymbolsByGeneration
from khorig.vm.vm import Vm

if TYPE_CHECKING:
    from khorig.run.early_exception import EarlyException
    from khorig.run.placed_names import Between
    from khorig.vm.cpu_memory import CpuMemory
    from khorig.vm.cpu_state import CpuState
    from khorig.vm.guest_names import GuestNames

_LOG_LINES = 5


class DeadGuest:
    """Follows a run for what it takes to look at its end."""

    def __init__(self, spec: RunSpec, machine: Machine, symbols: SymbolsByGeneration) -> None:
        self._spec = spec
        self._machine = machine
        self._symbols = symbols
        self._kernel = RunningKernel(machine.linux_text)

    def on_event(self, event: GuestEvent) -> None:
        """Every event in order."""
        self._kernel.on_event(event)

    def on_text(self, text: str) -> None:
        """A line of the console that is no event."""
        self._kernel.on_text(text)

    @property
    def speaking(self) -> int:
        """The generation whose words are on the console."""
        return self._kernel.speaking

    def on_stop(self, vm: Vm) -> None:
        """At a stop of the guest. A QEMU that does not answer is noticed elsewhere."""
        from khorig.vm.cpu_memory import CpuMemory  # while QEMU runs

        with contextlib.suppress(InfraError):
            self._kernel.on_stop(CpuMemory(vm.qmp, 0))

    def look(self, vm: Vm, sampled: dict[int, set[int]] | None = None) -> LastLook:
        """Pauses the guest for good. `sampled`: PCs by CPU, for the kind of a hang. Never raises:
        what could not be read is in the result."""
        from khorig.run.hang_kind import hang_kind  # most runs need neither
        from khorig.mem.kernel_log import lines_that_matter
        from khorig.vm.cpu_report import with_frame
        from khorig.run.placed_names import PlacedNames
        from khorig.vm.post_mortem import PostMortem

        generation = self._kernel.generation
        try:
            dead = PostMortem(vm, self._machine)
            dead.pause()
            if not dead.states:
                return LastLook(generation, (), error="QEMU shows no registers")
            first = dead.states[0]
            memory = dead.memory(first.number)
            found = self._exception(first, memory)
            at = first.pc if found is None or found.pc is None else found.pc
            decided = self._kernel.decide(replace(first, pc=at), memory)
            generation = self._kernel.generation if decided is None else decided
            is_next = generation > self._kernel.generation or self._kernel.is_entered
            is_low = memory.physical(at) == at
            between = self._between()
            place = between.place(at, vm.ram) if between is not None and is_low else ""
            is_between = is_low and (is_next or bool(place))
            kernel = max(generation, 1)  # one without a word is the first, or firmware
            names: GuestNames
            if between is not None and (is_low or found is not None):
                names = PlacedNames(between, vm.ram)
            else:
                names = dead.names(self._symbols.of(kernel), self._is_linux(kernel))
            cpus = dead.report(names)
            if found is not None and found.pc is not None:
                cpus = with_frame(cpus, found.pc, names.describe(found.pc))
            kind = hang_kind(dead.states, cpus, names, sampled or {}, is_between, place)
            is_mute = self._kernel.is_mute and generation > self._kernel.generation
            log = dead.kernel_log() if is_mute and self._is_linux(generation) else []
            matters = tuple(lines_that_matter(log, _LOG_LINES))
            certain = decided is not None
            return LastLook(
                generation,
                cpus,
                kind,
                names.why,
                matters,
                is_certain=certain,
                place=place,
                exception=found.what if found is not None else "",
                tables=self._tables(first, between, vm) if is_between else "",
            )
        except InfraError as error:
            return LastLook(generation, (), error=error.what)

    def _exception(self, state: CpuState, memory: CpuMemory) -> EarlyException | None:
        """What the CPU met between two kernels, one of which is a Linux. Raises InfraError."""
        from khorig.run.early_exception import early_exception

        jumping = self._kernel.jumped_from
        if not self._is_linux(jumping):
            return None
        return early_exception(self._machine.arch, state, memory)

    def _tables(self, state: CpuState, between: Between | None, vm: Vm) -> str:
        from khorig.run.top_table import own_bits_line

        if between is None or self._machine.arch != "x86_64":
            return ""
        return own_bits_line(state.registers, vm.ram, between.jumping)

    def _between(self) -> Between | None:
        """The two kernels of a jump after which none has said a word."""
        from khorig.run.placed_names import Between

        jumping = self._kernel.jumped_from
        if not jumping:
            return None
        return Between(
            jumping,
            not self._is_linux(jumping),
            self._kernel.segments,
            self._symbols.of(jumping),
            self._symbols.of(jumping + 1),
        )

    def panics(self, vm: Vm) -> bool:
        """Whether a Linux is in panic(), whatever its console says. The guest runs on. Raises
        InfraError."""
        from khorig.vm.post_mortem import PostMortem

        kernel = self._kernel
        last = kernel.generation + kernel.is_mute
        if not (self._is_linux(kernel.generation) or self._is_linux(last)):
            return False
        dead = PostMortem(vm, self._machine)
        return any(map(panics, dead.report(dead.names(self._symbols.of(last), is_linux=True))))

    def _is_linux(self, generation: int) -> bool:
        known = 0 < generation <= self._spec.generations
        return known and self._spec.kernel_of(generation) not in KHORIGS
