# SPDX-License-Identifier: BSD-3-Clause
"""Every CPU is at work in every generation, and none of an earlier one still is."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import CPUS_ONLINE, CPUS_PARKED
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record


def check_online(stop: Stop, sealed: Record) -> list[Finding]:
    """The kernel has found every CPU, and uses as many as it can."""
    cpus = stop.facts.cpus
    if cpus is None:
        return stop.no_event(CPUS_ONLINE, "cpus")
    findings = []
    if cpus.found != stop.spec.smp:
        what = f"the kernel found {cpus.found} CPUs, the machine has {stop.spec.smp}"
        findings.append(stop.finding(CPUS_ONLINE, what))
    expected = min(stop.spec.smp, cpus.supported)
    if cpus.online != expected:
        what = f"{cpus.online} CPUs are online, expected were {expected}"
        findings.append(stop.finding(CPUS_ONLINE, what))
    return findings


def check_parked(stop: Stop, sealed: Record) -> list[Finding]:
    """No CPU but the first runs when a kernel is entered. Where a machine cannot tell, the kernel
    itself does, when it starts its CPUs."""
    return [
        stop.finding(
            CPUS_PARKED,
            f"CPU {cpu.number} runs at {cpu.pc:#018x}: the last kernel has left it in "
            + _place(stop, sealed, cpu.pc),
            cpu.pc,
            f"CPU {cpu.number}",
        )
        for cpu in stop.running_cpus
    ]


def _place(stop: Stop, sealed: Record, pc: int) -> str:
    """Kernels run where they are linked, far above RAM; RAM is mapped one to one."""
    if not any(ram.contains(pc, 1) for ram in stop.memory.ranges):
        return "its own text"
    if any(area.contains(pc, 1) for area in sealed.snapshot.scratch or ()):
        return "scratch, which the next kernel is copied to"
    owner = sealed.snapshot.owners.name(pc >> stop.geometry.page_shift)
    return f"a page of {owner}" if owner else "a page that belongs to nobody"
