# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU shows of CPUs and devices at a stop."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, Callable, Sequence

from khorig.guest.khorig_run import LIVE_CPU, KhorigRun
from khorig.guest.machine import DeviceStates, RunningCpu, Translate, translates_nothing
from khorig.guest.spec import KHORIG, RunSpec
from khorig.rules.finding import Finding
from khorig.rules.temporal.definitions import SETTLED
from khorig.run.judging import StopContext
from khorig.vm.machines.machine import Machine
from khorig.vm.modes import read_modes
from khorig.vm.vm import Vm

if TYPE_CHECKING:
    from khorig.run.pci_watch import PciWatch

# Time for INIT to reach a CPU: unless instructions are counted, QEMU leaves it to the CPU's own
# thread, which the host may schedule late.
_INIT_S = 2.0
_INTERVAL_S = 0.005


class Look:
    """The looks at one stop."""

    def __init__(
        self,
        vm: Vm,
        machine: Machine,
        spec: RunSpec,
        emit: Callable[..., None],
        pci: PciWatch,
    ) -> None:
        """`emit` writes a record to the journal."""
        self._vm, self._machine, self._spec, self._emit = vm, machine, spec, emit
        self._pci = pci
        self._qmp = vm.qmp

    def before(self, context: StopContext) -> StopContext:
        """For the judge. Devices after a jump, before the kernel switches anything on; CPUs after
        the first that are not parked, if it can be told; in which mode khorig runs; and what the
        probe has seen of a CPU that runs on."""
        context = self._with_accesses(context)
        looks = self._pci.look(self._qmp, context.generation, context.at, context.is_jump)
        context = dataclasses.replace(context, pci=looks)
        if context.at != "entry":
            is_own = self._spec.kernel_of(context.generation) == KHORIG
            if self._machine.arch != "x86_64" or not is_own:
                return context
            return dataclasses.replace(context, modes=read_modes(self._qmp))
        if context.generation > 1:
            context = dataclasses.replace(context, devices=self._devices(context.generation))
        cpus, translate = self._cpus()
        level = self._level()
        return dataclasses.replace(context, running_cpus=cpus, translate=translate, level=level)

    def after(self, context: StopContext, findings: Sequence[Finding]) -> list[Finding]:
        """The judge's findings. One of a write behind the jump gets the devices that can write."""
        if not any(found.rule == SETTLED for found in findings):
            return list(findings)
        writers = self._devices(context.generation).writers
        named = ("can write to memory: " + (", ".join(writers) or "no device that QEMU shows"),)
        return [
            dataclasses.replace(found, evidence=(*named, *found.evidence))
            if found.rule == SETTLED
            else found
            for found in findings
        ]

    def _with_accesses(self, context: StopContext) -> StopContext:
        probe, spec = self._vm.probe, self._spec
        if not isinstance(spec, KhorigRun) or not spec.probed or probe is None:
            return context
        from khorig.run.cpu_accesses import CpuAccesses
        from khorig.vm.cpu_view import CpuView

        accesses = CpuAccesses(probe, CpuView(self._qmp, self._machine.arch))
        return dataclasses.replace(context, accesses=accesses)

    def _level(self) -> int | None:
        """The exception level of the first CPU, of machines that have them."""
        machine = self._machine
        return machine.level(self._qmp.monitor("info registers")) if machine.has_levels else None

    def _cpus(self) -> tuple[tuple[RunningCpu, ...], Translate]:
        """Those that are not parked, and what they map."""
        running = self._running()
        if not running:
            return (), translates_nothing
        from khorig.vm.cpu_view import CpuView

        view = CpuView(self._qmp, self._machine.arch)
        known = (
            dataclasses.replace(cpu, hardware_id=view.hardware_id(cpu.number)) for cpu in running
        )
        return tuple(known), view.translate

    def _running(self) -> tuple[RunningCpu, ...]:
        """Those that are not parked, once INIT has had time to reach them."""
        spec, may_run, until = self._spec, 0, time.monotonic()
        if spec.smp == 1:
            return ()
        if isinstance(spec, KhorigRun) and not spec.counted:
            may_run, until = int(spec.scenario == LIVE_CPU), until + _INIT_S
        while True:
            running = self._machine.running_cpus(self._qmp.monitor("info registers -a"))
            if len(running) <= may_run or time.monotonic() >= until:
                return running
            time.sleep(_INTERVAL_S)

    def _devices(self, generation: int) -> DeviceStates:
        from khorig.vm.devices.states import read_devices  # once QEMU runs

        devices = read_devices(self._qmp, self._machine.arch)
        fields: dict[str, Any] = dataclasses.asdict(devices)
        self._emit("devices", gen=generation, **fields)
        return devices
