# SPDX-License-Identifier: BSD-3-Clause
"""What kind of hang a hang is."""

from __future__ import annotations

from typing import Sequence

from khorig.run.last_look import main_cpu, panics
from khorig.vm.cpu_report import CpuReport
from khorig.vm.cpu_state import CpuState
from khorig.vm.guest_names import GuestNames


def hang_kind(
    states: Sequence[CpuState],
    cpus: Sequence[CpuReport],
    names: GuestNames,
    sampled: dict[int, set[int]],
    is_between: bool,
    place: str = "",
) -> str:
    """One line. `sampled`: by CPU, the PCs since the last output; `is_between`: a CPU is at an
    address that is mapped 1:1, after a kernel jumped and before its successor has page tables;
    `place`: whose code that is, where it is known."""
    on = [state for state in states if state.is_on]
    if not on:
        return "no CPU is on"
    if any(panics(cpu) for cpu in cpus):
        return f"panicked: CPU {main_cpu(cpus).number} loops in panic()"
    if all(state.halted for state in on):
        if not any(state.interrupts for state in on):
            return "no CPU runs: all halted, interrupts off"
        return "no CPU runs: all halted, nothing wakes them"
    if is_between and not place:
        return "in purgatory, or in the next kernel before its own page tables"
    main = main_cpu(cpus)
    state = next(state for state in states if state.number == main.number)
    off = ", interrupts off" if state.interrupts is False else ""
    if is_between:
        return f"CPU {state.number} spins in {place}{off}"
    places = sampled.get(state.number, set()) | {state.pc}
    return f"CPU {state.number} spins in {_loop(main, names, places)}{off}"


def _loop(cpu: CpuReport, names: GuestNames, places: set[int]) -> str:
    """The function that has the loop: the outermost one that was seen at work itself, not in a
    call. The address where there are no names."""
    at_work = {names.function(pc) for pc in places}
    callers = [names.function(frame.pc - 1) for frame in cpu.frames[1:] if not frame.found_on_stack]
    looping = [name for name in callers if name and name in at_work]
    if looping:
        return looping[-1]
    return names.function(cpu.frames[0].pc) if at_work != {""} else f"{cpu.frames[0].pc:#018x}"
