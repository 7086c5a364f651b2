# SPDX-License-Identifier: BSD-3-Clause
"""All CPUs are online in every generation, and parked across the jump."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import CPUS_ONLINE, CPUS_PARKED
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record


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
    if cpus.online != expected:
        what = f"{cpus.online} CPUs online, expected {expected}"
        findings.append(stop.finding(CPUS_ONLINE, what))
    return findings


def check_parked(stop: Stop, sealed: Record) -> list[Finding]:
    """Only the boot CPU runs at kernel entry. On machines whose QEMU state does not show it, the
    next kernel reports it when it starts its CPUs."""
    return [
        stop.finding(
            CPUS_PARKED,
            f"CPU {cpu.number} not parked: {'halted at' if cpu.halted else 'PC'} {cpu.pc:#018x} in "
            + _place(stop, sealed, cpu.pc),
            cpu.pc,
            f"CPU {cpu.number}",
        )
        for cpu in stop.running_cpus
    ]


def _place(stop: Stop, sealed: Record, pc: int) -> str:
    """Kernels run at their link address, far above RAM; RAM is mapped 1:1."""
    if not any(ram.contains(pc, 1) for ram in stop.memory.ranges):
        return "the previous kernel's text"
    if any(area.contains(pc, 1) for area in sealed.snapshot.scratch or ()):
        return "scratch, where the next kernel is placed"
    owner = sealed.snapshot.owners.name(pc >> stop.geometry.page_shift)
    return f"a page of {owner}" if owner else "an unowned page"
