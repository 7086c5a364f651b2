# SPDX-License-Identifier: BSD-3-Clause
"""The last look at a guest that is dead or taken for dead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Sequence

if TYPE_CHECKING:
    from khorig.vm.cpu_report import CpuReport

_DEATH = re.compile(r"Kernel panic|Oops|BUG: |Unable to handle|Internal error")
_FRAMES = 8  # of the CPU that matters
_OTHERS = 3
_OUTSIDE = ("", "off")  # states that say nothing about who died


@dataclass(frozen=True)
class LastLook:
    """Who was where. `generation`: of the kernel that ran."""

    generation: int
    cpus: tuple[CpuReport, ...]
    kind: str = ""  # "CPU 0 spins in arch::Pause, interrupts off"
    no_names: str = ""  # why a Linux's addresses have no names
    log: tuple[str, ...] = ()  # of a Linux, from its memory, where it did not reach the console
    error: str = ""  # why there is no more
    is_certain: bool = False  # that this generation ran
    place: str = ""  # whose code, where it was before a kernel's first words
    exception: str = ""  # that the CPU took there
    tables: str = ""  # what is odd about the page tables that it was entered on

    def record(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "gen": self.generation,
            "what": self.kind,
            "no_names": self.no_names,
            "place": self.place,
            "exception": self.exception,
            "log": list(self.log),
            "error": self.error,
            "cpus": [cpu.record() for cpu in self.cpus],
        }

    @property
    def was_taken(self) -> bool:
        """Whether anybody has looked."""
        return bool(self.cpus or self.error)

    @property
    def last_words(self) -> str:
        """The line of its log with which a Linux died that did not reach its console, or ""."""
        return next((line for line in self.log if _DEATH.match(line)), "")

    @property
    def lines(self) -> tuple[str, ...]:
        """Shortened: the CPU that matters with up to 8 frames, one line for each other."""
        if self.error:
            return (f"cannot read registers: {self.error}",)
        if not self.cpus:
            return ()
        first = main_cpu(self.cpus)
        many = len(self.cpus) > 1
        shown = [frame.where + " ?" * frame.found_on_stack for frame in first.frames[:_FRAMES]]
        if first.state and shown:
            shown[0] += f"  {first.state}"
        if many and shown:
            shown[0] = f"CPU {first.number} {shown[0]}"
        others = [cpu for cpu in self.cpus if cpu is not first]
        shown += [f"CPU {cpu.number} {cpu.here}" for cpu in others[:_OTHERS]]
        if len(others) > _OTHERS:
            shown.append(f"and {len(others) - _OTHERS} more CPUs in verdict.json")
        if self.tables:
            shown.append(self.tables)
        if self.no_names:
            shown.append(f"no symbols: {self.no_names}")
        shown += [f"kernel log in memory: {line}" for line in self.log]
        return tuple(shown)


def main_cpu(cpus: Sequence[CpuReport]) -> CpuReport:
    """The CPU to look at first: the one that panics, else the first that is on and runs."""

    def order(cpu: CpuReport) -> tuple[bool, bool, bool]:
        return (not panics(cpu), cpu.state in _OUTSIDE and cpu.number > 0, "halted" in cpu.state)

    return min(cpus, key=order)


def panics(cpu: CpuReport) -> bool:
    """Whether a CPU is in Linux's panic(), which never returns: an address in it that is on the
    stack is of a call that lasts."""
    names = [frame.where.partition(" ")[2] for frame in cpu.frames]
    return any(name.startswith(("panic+", "vpanic+")) for name in names)
