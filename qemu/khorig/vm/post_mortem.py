# SPDX-License-Identifier: BSD-3-Clause
"""What a guest's CPUs were doing when its run ended."""

from __future__ import annotations

from typing import Sequence

from khorig.mem.kallsyms import Kallsyms, NoKallsyms, find_kallsyms
from khorig.mem.kernel_log import find_kernel_log
from khorig.vm.backtrace import report_cpu
from khorig.vm.cpu_memory import CpuMemory
from khorig.vm.cpu_report import CpuReport
from khorig.vm.cpu_state import CpuState
from khorig.vm.errors import InfraError
from khorig.vm.guest_names import GuestNames
from khorig.vm.machines.machine import Machine
from khorig.vm.symbols import Symbols
from khorig.vm.vm import Vm

_WALKED = 64  # CPUs with a backtrace; of others registers alone
_UPPER_HALF = 1 << 47


class PostMortem:
    """Registers, backtraces and names. The guest may run on meanwhile; pause it before, for one
    consistent picture."""

    def __init__(self, vm: Vm, machine: Machine, registers: str = "") -> None:
        """`registers`: what the monitor showed before, where the guest has gone since. Raises
        InfraError if QEMU does not answer."""
        self._vm = vm
        text = registers or vm.qmp.monitor("info registers -a")
        self.states: Sequence[CpuState] = machine.cpu_states(text)

    def memory(self, cpu: int) -> CpuMemory:
        """Memory as a CPU sees it."""
        return CpuMemory(self._vm.qmp, cpu)

    def names(self, symbols: Symbols, is_linux: bool) -> GuestNames:
        """Names for the addresses of the kernel that runs. Raises InfraError."""
        if not is_linux:
            return GuestNames(symbols)
        why = "no CPU runs in Linux's text"
        for state in self.states:
            if state.user or state.pc < _UPPER_HALF:
                continue
            memory = self.memory(state.number)
            if (at := memory.physical(state.pc)) is None:
                continue
            try:
                return GuestNames(symbols, self._kallsyms(state.pc, at, memory))
            except NoKallsyms as error:
                why = str(error)
        return GuestNames(symbols, why=why)

    def _kallsyms(self, pc: int, at: int, memory: CpuMemory) -> Kallsyms:
        return find_kallsyms(self._vm.ram, pc, at, memory.physical)

    def kernel_log(self) -> list[str]:
        """The log of the Linux that runs, from its memory. Raises InfraError."""
        for state in self.states:
            at = None if state.user else self.memory(state.number).physical(state.pc)
            if at is not None and (log := find_kernel_log(self._vm.ram, at)):
                return log
        return []

    def report(self, names: GuestNames) -> tuple[CpuReport, ...]:
        """Every CPU, in QEMU's order."""
        reports: list[CpuReport] = []
        for state in self.states:
            if len(reports) < _WALKED:
                reports.append(report_cpu(state, self.memory(state.number), names))
            else:
                reports.append(CpuReport(state.number, state.summary, state.registers, ()))
        return tuple(reports)

    def pause(self) -> None:
        """Stops the guest for good: resuming it may deadlock in QEMU. Errors are left to the next
        command."""
        try:
            self._vm.qmp.execute("stop")
        except InfraError:
            pass
