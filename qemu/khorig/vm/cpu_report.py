# SPDX-License-Identifier: BSD-3-Clause
"""Where a CPU was at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from khorig.mem.untrusted import count, fields, items, text


@dataclass(frozen=True)
class Frame:
    """One place of a backtrace."""

    pc: int
    where: str  # "0xffffffff80001234 base::Panic+0x34 (kernel/cpus/panic.cc:63)"
    found_on_stack: bool = False  # by its look: it may be left over from an earlier call


@dataclass(frozen=True)
class CpuReport:
    """Registers and backtrace of one CPU, innermost frame first."""

    number: int
    state: str  # "halted, interrupts off"
    registers: Mapping[str, int]
    frames: tuple[Frame, ...]
    error: str = ""  # why the backtrace ends early, or there is none

    @property
    def here(self) -> str:
        """One line."""
        place = self.frames[0].where if self.frames else self.error
        return f"{place}  {self.state}" if self.state else place

    def record(self) -> dict[str, Any]:
        """For a journal or a document."""
        return {
            "cpu": self.number,
            "state": self.state,
            "registers": {name: f"{value:#x}" for name, value in self.registers.items()},
            "frames": [
                {"pc": f"{frame.pc:#x}", "where": frame.where, "guess": frame.found_on_stack}
                for frame in self.frames
            ],
            "error": self.error,
        }

    @staticmethod
    def of(record: Any) -> CpuReport:
        """From a journal. Raises Untrusted, LookupError, ValueError."""
        values = fields(record)
        return CpuReport(
            count(values["cpu"]),
            text(values["state"]),
            {name: int(text(value), 16) for name, value in fields(values["registers"]).items()},
            tuple(
                Frame(int(text(frame["pc"]), 16), text(frame["where"]), frame["guess"] is True)
                for frame in map(fields, items(values["frames"]))
            ),
            text(values["error"]),
        )


def with_frame(cpus: Sequence[CpuReport], pc: int, where: str) -> tuple[CpuReport, ...]:
    """The first CPU's handler was entered from `pc`: what is below it on the stack is not known."""
    first, *others = cpus
    return (replace(first, frames=(*first.frames[:1], Frame(pc, where)), error=""), *others)
