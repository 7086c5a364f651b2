# SPDX-License-Identifier: BSD-3-Clause
"""All CPUs are online in every generation, and parked across the jump, but one that runs on."""

from __future__ import annotations

import time

from khorig.guest.machine import RunningCpu
from khorig.kho.clients.live_cpu import LiveCpu, read_iterations
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import COUNTING, CPUS_ONLINE, CPUS_PARKED, INSIDE
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

PATIENCE_S = 5.0  # the guest polls, and its CPUs take turns


def check_online(stop: Stop, sealed: Record) -> list[Finding]:
    """The kernel found every CPU and brought up as many as it supports."""
    cpus = stop.facts.cpus
    if cpus is None:
        return stop.no_event(CPUS_ONLINE, "cpus")
    findings = []
    if cpus.found != stop.spec.smp:
        what = f"kernel found {cpus.found} CPUs, machine has {stop.spec.smp}"
        findings.append(stop.finding(CPUS_ONLINE, what))
    expected = min(stop.spec.smp, cpus.supported)
    if sealed.snapshot.clients.live_cpu is not None:  # no CPU of any kernel
        expected -= 1
    if cpus.online != expected:
        what = f"{cpus.online} CPUs online, expected {expected}"
        findings.append(stop.finding(CPUS_ONLINE, what))
    return findings


def check_parked(stop: Stop, sealed: Record) -> list[Finding]:
    """Only the boot CPU runs at kernel entry, and the one that was handed over running, which
    executes its own text. On machines whose QEMU state does not show it, the next kernel reports it
    when it starts its CPUs."""
    live = sealed.snapshot.clients.live_cpu
    own = [cpu for cpu in stop.running_cpus if live and cpu.hardware_id == live.hardware_id]
    findings = [
        stop.finding(
            CPUS_PARKED,
            f"CPU {cpu.number} not parked: {'halted at' if cpu.halted else 'PC'} {cpu.pc:#018x} in "
            + _place(stop, sealed, cpu.pc),
            cpu.pc,
            f"CPU {cpu.number}",
        )
        for cpu in stop.running_cpus
        if cpu not in own
    ]
    if live is None:
        return findings
    if not own:
        what = f"CPU {live.hardware_id:#x}, which was handed over running, does not run"
        return [*findings, stop.finding(CPUS_PARKED, what)]
    return [*findings, *_check_live(stop, sealed, live, own[0])]


def _check_live(stop: Stop, sealed: Record, live: LiveCpu, cpu: RunningCpu) -> list[Finding]:
    """It executes its text, on the tables that were handed over."""
    text, owner = live.page("text"), f"CPU {cpu.number}"
    name = f"CPU {cpu.number} (hardware id {live.hardware_id:#x}), which runs on,"
    findings = []
    if not text.virtual <= cpu.pc < text.virtual + stop.geometry.page_size:
        what = f"PC {cpu.pc:#018x} in {_place(stop, sealed, cpu.pc)}"
        what = f"{name} has left its text at {text.virtual:#018x}: {what}"
        findings.append(stop.finding(CPUS_PARKED, what, cpu.pc, owner))
    for page in live.pages:
        found = stop.translate(cpu.number, page.virtual)
        if found != page.physical:
            where = "nowhere" if found is None else f"{found:#018x}"
            what = f"{name} has its {page.role} at {where}, expected {page.physical:#018x}"
            findings.append(stop.finding(CPUS_PARKED, what, page.physical, owner))
    return findings[:1]


def check_counting(stop: Stop, sealed: Record) -> list[Finding]:
    """The CPU that was handed over running has run its loop since, and goes on."""
    live, before = sealed.snapshot.clients.live_cpu, sealed.iterations
    if live is None or before is None:
        return [stop.finding(COUNTING, "no CPU was handed over running")]
    first = read_iterations(stop.memory, live)
    until = time.monotonic() + PATIENCE_S
    while (now := read_iterations(stop.memory, live)) == first or now <= before:
        if time.monotonic() > until:
            how = "has stopped" if now <= before else "stands still"
            what = f"CPU {live.hardware_id:#x}, which runs on, {how}: {now} iterations, "
            what += f"{before} at {sealed.at} in generation {sealed.generation}"
            return [stop.finding(COUNTING, what, live.page("counter").physical)]
        time.sleep(0.001)
    return []


def check_inside(stop: Stop, sealed: Record) -> list[Finding]:
    """The probe has seen the CPU that was handed over running in its own pages alone."""
    live = sealed.snapshot.clients.live_cpu
    if live is None or not stop.outside:
        return [stop.finding(INSIDE, "nobody has watched a CPU that runs on")]
    findings = []
    for seen in stop.outside:
        if seen.count:
            where = "outside of RAM" if seen.physical is None else f"{seen.physical:#018x}"
            what = (
                f"CPU {live.hardware_id:#x}, which runs on: {seen.count} {seen.accesses} outside "
            )
            what += f"of its pages, the first by PC {seen.pc or 0:#018x} at {where}"
            findings.append(stop.finding(INSIDE, what, seen.physical))
    return findings


def _place(stop: Stop, sealed: Record, pc: int) -> str:
    """Kernels run at their link address, far above RAM; RAM is mapped 1:1."""
    if not any(ram.contains(pc, 1) for ram in stop.memory.ranges):
        return "the previous kernel's text"
    if any(area.contains(pc, 1) for area in sealed.snapshot.scratch or ()):
        return "scratch, where the next kernel is placed"
    owner = sealed.snapshot.owners.name(pc >> stop.geometry.page_shift)
    return f"a page of {owner}" if owner else "an unowned page"
