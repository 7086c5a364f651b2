# SPDX-License-Identifier: BSD-3-Clause
"""Hang detector: distinguishes a hang from a slow guest."""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from typing import Callable

from khorig.mem.untrusted import Untrusted, count, items, shown
from khorig.vm.cpu_state import CpuState
from khorig.vm.errors import InfraError
from khorig.vm.halt_watch import HaltWatch
from khorig.vm.limits import Limits
from khorig.vm.machines.machine import Machine
from khorig.vm.vm import Vm

_CPU_S = 0.02  # minimum CPU time of a virtual CPU between samples
_MOST_PCS = 4096  # kept of a CPU
_OF_A_LOOP = frozenset({"RIP", "EIP", "RFL", "EFL", "PC", "PSTATE"})
_CODE = 4096  # bytes of a code page


class ProgressWatch:
    """Samples the guest's registers once its console has been silent for a while.

    A guest whose CPUs have no register value that the register has not had before, look after
    look, and mostly whole states that they have had before, and that says nothing, runs in a
    circle: it hangs. One with a CPU whose registers are new each time gets on, however slow the
    host is. Looks count only when a virtual CPU has run in between or all sleep by their own will,
    so that a busy host is not taken for a hung guest.

    A guest whose CPUs are all halted runs in no circle: it hangs at once where they take no
    interrupts, after a time where nothing wakes them, and after a longer one where timers do.
    """

    def __init__(
        self,
        vm: Vm,
        machine: Machine,
        limits: Limits = Limits(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds."""
        self._vm = vm
        self._machine = machine
        self._limits = limits
        self._clock = clock
        self._threads: frozenset[int] | None = None  # of virtual CPUs
        self._turns = 0  # of those
        self._all_sleep = False  # all threads of QEMU
        self._restart()

    def _restart(self) -> None:
        """After output: what was seen before no longer counts. A stop is output, too, so the time
        in which the guest waits for the host is not its silence."""
        self._seen: dict[int, set[bytes]] = {}  # by CPU
        self._looks = 0
        self._old_looks = 0  # samples with known state only
        self._repeats = 0  # samples in a row without a new value
        self._values: dict[tuple[int, str], set[int]] = {}  # by CPU and register
        self._last_new = deque([True] * self._limits.looks, self._limits.looks)
        self._halt = HaltWatch(self._limits)
        self._bytes = self._vm.serial.total_bytes
        self._quiet_since = self._clock()
        self._next = self._quiet_since + self._limits.silence_s
        self._cpu_s = 0.0
        self.pcs: dict[int, set[int]] = {}  # sampled, by CPU
        self._code: set[tuple[int, int]] = set()  # (CPU, code page) seen
        self._new_code_s: list[float] = []  # when a CPU was sampled in new code

    @property
    def quiet_s(self) -> float:
        """Silence of the console, in run time of the guest."""
        return self._clock() - self._quiet_since

    @property
    def next_look_in_s(self) -> float:
        """Time until the next call of `hangs` is due."""
        return max(0.0, self._next - self._clock())

    def hangs(self) -> bool:
        """Takes a sample if due. Returns True once the guest hangs. Raises InfraError if QEMU does
        not answer."""
        if self._vm.serial.total_bytes != self._bytes:
            self._restart()
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._limits.interval_s
        if not self._has_run():
            return False
        registers = self._vm.qmp.monitor("info registers -a")
        is_new = self._shows_something_new(registers)
        self._looks += 1
        self._old_looks += not is_new
        self._last_new.append(is_new)
        states = self._machine.cpu_states(registers)
        has_new_value = False
        for state in states:
            has_new_value |= self._add_pc(state.number, state.pc, now)
            has_new_value |= self._add_values(state)
        if self._halt.waits(states, self._all_sleep, self._turns, now):
            return self._halt.is_over
        self._repeats = 0 if has_new_value else self._repeats + 1
        mostly_old = sum(self._last_new) <= self._limits.looks / 2
        return self._repeats >= self._limits.looks and mostly_old

    @property
    def mostly_repeats(self) -> bool:
        """Whether most samples since the last output had known states: a loop with too many states
        for enough repeats in a row."""
        return self._looks >= self._limits.looks and self._old_looks > self._looks / 2

    @property
    def spins(self) -> bool:
        """Whether the CPUs have stayed in known code for long since the last output, as after a
        Linux panic, where the clock differs in each sample. Such a loop calls rare code, too: one
        sample in a hundred may be new."""
        begin = self._clock() - self._limits.spin_s
        new = sum(when > begin for when in self._new_code_s)
        return (
            self._looks >= self._limits.looks
            and self._quiet_since <= begin
            and new * 100 * self._limits.interval_s <= self._limits.spin_s
        )

    @property
    def is_calm(self) -> bool:
        """Whether no CPU has been in new code for some looks."""
        begin = self._clock() - self._limits.looks * self._limits.interval_s
        return self._looks >= self._limits.looks and not any(
            when > begin for when in self._new_code_s[-1:]
        )

    @property
    def summary(self) -> tuple[str, ...]:
        """Result of the samples as text."""
        silence = f"silent for {self.quiet_s:.1f} s"
        if not self._looks:
            return (silence,)
        known = f"{self._old_looks} of {self._looks} CPU samples had a known state"
        lines = (f"{silence}; {known}",)
        if not self.pcs.get(0):
            return lines
        low, high = min(self.pcs[0]), max(self.pcs[0])
        return (f"{self._looks} samples, PC from {low:#018x} to {high:#018x}", *lines)

    def _shows_something_new(self, registers: str) -> bool:
        """Whether a CPU has new register contents since the last output."""
        is_new = False
        for number, block in enumerate(re.split(r"^CPU#", registers, flags=re.MULTILINE)):
            seen = self._seen.setdefault(number, set())
            state = hashlib.blake2b(block.encode(), digest_size=16).digest()
            is_new |= state not in seen
            seen.add(state)
        return is_new

    def _add_values(self, state: CpuState) -> bool:
        """Whether a register has a value that it has not had. Flags and the place in known code are
        what a loop has many of; a loop with new values in its registers gets on."""
        is_new = False
        for name, value in state.registers.items():
            if name in _OF_A_LOOP:
                continue
            seen = self._values.setdefault((state.number, name), set())
            is_new |= value not in seen
            seen.add(value)
        return is_new

    def _add_pc(self, cpu: int, pc: int, now: float) -> bool:
        """Whether it is in a page of code where this CPU was not."""
        place = (cpu, pc // _CODE)
        is_new = place not in self._code
        if is_new:
            self._new_code_s.append(now)
        self._code.add(place)
        pcs = self.pcs.setdefault(cpu, set())
        if len(pcs) < _MOST_PCS:
            pcs.add(pc)
        return is_new

    def _has_run(self) -> bool:
        """Whether a virtual CPU has run since the last look that counted, or has nothing to do:
        then all of QEMU sleeps. When only the virtual CPUs sleep they may wait for a thread that
        the host does not let run."""
        if self._threads is None:
            cpus = self._vm.qmp.execute("query-cpus-fast")
            try:
                self._threads = frozenset(count(cpu["thread-id"]) for cpu in items(cpus))
            except (LookupError, TypeError, Untrusted):
                raise InfraError(f"QEMU's list of CPUs has no threads: {shown(cpus)}") from None
        threads = self._vm.qemu.threads()
        self._turns = sum(thread.turns for id, thread in threads.items() if id in self._threads)
        self._all_sleep = all(thread.sleeps for thread in threads.values())
        if self._all_sleep:
            return bool(threads)
        used_s = sum(thread.cpu_s for id, thread in threads.items() if id in self._threads)
        if used_s - self._cpu_s < _CPU_S:
            return False
        self._cpu_s = used_s
        return True
