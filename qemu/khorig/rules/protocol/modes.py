# SPDX-License-Identifier: BSD-3-Clause
"""The modes that a kernel runs in, as QEMU shows its control registers."""

from __future__ import annotations

from typing import Iterator

from khorig.guest.machine import CpuMode, CpuModes
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import MODES
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

_IMAGE = 0xFFFF_8000_0000_0000  # the kernel's image lies above, RAM is mapped below
_WRITE_PROTECT = 1 << 16  # of CR0
_LA57 = 1 << 12  # of CR4
_CR4 = {"SMEP": 20, "SMAP": 21, "UMIP": 11, "PKE": 22}
_NXE = 1 << 11  # of EFER
_OPTION = "la57="


def check_modes(stop: Stop, sealed: Record) -> list[Finding]:
    """Every CPU in the kernel has the levels of page tables that the command line and the kernel's
    event say, and is protected by all that it has."""
    modes, levels = stop.modes, stop.facts.levels
    if modes.unread or not modes.cpus:
        what = "the CPUs' control registers were not read"
        return [stop.finding(MODES, what, evidence=(modes.unread,) if modes.unread else ())]
    if levels is None:
        return stop.no_event(MODES, "mode")
    findings = []
    wanted = _wanted(stop, modes)
    if levels != wanted:
        what = f"kernel reports {levels} levels of page tables, expected {wanted}"
        findings.append(stop.finding(MODES, what))
    for cpu in modes.cpus:
        if cpu.pc >= _IMAGE:  # else it waits for its start, or runs on across jumps
            owner = f"CPU {cpu.number}"
            findings += [stop.finding(MODES, w, owner=owner) for w in _wrong(cpu, modes, levels)]
    return findings


def _wrong(cpu: CpuMode, modes: CpuModes, levels: int) -> Iterator[str]:
    used = 5 if cpu.cr4 & _LA57 else 4
    if used != levels:
        yield f"CR4 is {cpu.cr4:#x}: {used} levels of page tables, the kernel reports {levels}"
    off = [name for name, bit in _CR4.items() if name in modes.has and not cpu.cr4 >> bit & 1]
    if off:
        yield f"CR4 is {cpu.cr4:#x}, without {' and '.join(off)}, which the CPU has"
    if not cpu.cr0 & _WRITE_PROTECT:
        yield f"CR0 is {cpu.cr0:#x}, without WP"
    if "NXE" in modes.has and not cpu.efer & _NXE:
        yield f"EFER is {cpu.efer:#x}, without NXE, which the CPU has"


def _wanted(stop: Stop, modes: CpuModes) -> int:
    """By the last option `la57=` of the command line, a list for the generations in turn; without
    one, what the CPU has."""
    words = [word for word in stop.spec.extra_options if word.startswith(_OPTION)]
    if not words:
        return 5 if "LA57" in modes.has else 4
    values = words[-1].removeprefix(_OPTION).split(",")
    return 5 if values[(stop.generation - 1) % len(values)] == "on" else 4
