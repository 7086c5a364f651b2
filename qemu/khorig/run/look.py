# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU shows of CPUs and devices at a stop."""

from __future__ import annotations

from dataclasses import replace

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import DeviceStates, RunningCpu, Translate, translates_nothing
from khorig.guest.spec import KHORIG, RunSpec
from khorig.run.judging import StopContext
from khorig.vm.devices.states import read_devices
from khorig.vm.machines.machine import Machine
from khorig.vm.modes import read_modes
from khorig.vm.qmp import Qmp
from khorig.vm.vm import Vm


def look_at_cpus(
    qmp: Qmp, machine: Machine, spec: RunSpec
) -> tuple[tuple[RunningCpu, ...], Translate]:
    """The CPUs after the first that are not parked, if it can be told, and what they map."""
    running = machine.running_cpus(qmp.monitor("info registers -a")) if spec.smp > 1 else ()
    if not running:
        return (), translates_nothing
    from khorig.vm.cpu_view import CpuView

    view = CpuView(qmp, machine.arch)
    known = (replace(cpu, hardware_id=view.hardware_id(cpu.number)) for cpu in running)
    return tuple(known), view.translate


def look_at_level(qmp: Qmp, machine: Machine) -> int | None:
    """The exception level of the first CPU, of machines that have them."""
    return machine.level(qmp.monitor("info registers")) if machine.has_levels else None


def look_at_devices(qmp: Qmp, machine: Machine, generation: int) -> DeviceStates | None:
    """After a jump, before the kernel switches anything on; else None."""
    return read_devices(qmp, machine.arch) if generation > 1 else None


def look(
    vm: Vm, machine: Machine, spec: RunSpec, context: StopContext
) -> tuple[StopContext, DeviceStates | None]:
    """The stop with what QEMU and the probe show of it, and the devices if they were looked at."""
    if isinstance(spec, KhorigRun) and spec.probed and vm.probe is not None:
        from khorig.run.cpu_accesses import CpuAccesses
        from khorig.vm.cpu_view import CpuView

        accesses = CpuAccesses(vm.probe, CpuView(vm.qmp, machine.arch))
        context = replace(context, accesses=accesses)
    if context.at != "entry":
        if machine.arch != "x86_64" or spec.kernel_of(context.generation) != KHORIG:
            return context, None
        return replace(context, modes=read_modes(vm.qmp)), None
    devices = look_at_devices(vm.qmp, machine, context.generation)
    if devices is not None:
        context = replace(context, devices=devices)
    cpus, translate = look_at_cpus(vm.qmp, machine, spec)
    level = look_at_level(vm.qmp, machine)
    return replace(context, running_cpus=cpus, translate=translate, level=level), devices
