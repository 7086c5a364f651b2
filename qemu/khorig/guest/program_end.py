# SPDX-License-Identifier: BSD-3-Clause
"""How a program of the user's ended."""

from __future__ import annotations

import errno
import os
import shlex
import signal
from dataclasses import dataclass
from typing import Sequence

from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec

OUTPUT_LINES = 8  # kept of its output
_LONGEST_LINE = 1000  # characters
_HINTS = {errno.ENOENT: ", or its interpreter is missing", errno.ENOEXEC: " for this kernel"}


@dataclass(frozen=True)
class ProgramEnd:
    """The end of a program, and its last words."""

    generation: int
    number: int  # among those of its generation, from 0
    command: str  # with arguments, as in a shell
    error: int = 0  # errno of what kept it from being started
    signal: int = 0
    status: int = 0
    output: tuple[str, ...] = ()  # last lines on the console, those of the kernel among them

    @classmethod
    def of(cls, event: GuestEvent, spec: RunSpec, output: Sequence[str]) -> ProgramEnd:
        """From an event `program` and the lines before it. Raises EventFieldError."""
        return cls(
            event.generation,
            event.number("number"),
            command_of(event, spec),
            event.number("errno"),
            event.number("signal"),
            event.number("status"),
            tuple(line[:_LONGEST_LINE] for line in output[-OUTPUT_LINES:]),
        )

    @property
    def is_ok(self) -> bool:
        """Whether it was started and ended with status 0."""
        return not (self.error or self.signal or self.status)

    @property
    def how(self) -> str:
        """ "exit status 3", "killed by signal 9 (SIGKILL)", "not started: ENOENT (...)"."""
        if self.error:
            if self.error not in errno.errorcode:
                return f"not started: errno {self.error}"
            why = os.strerror(self.error) + _HINTS.get(self.error, "")
            return f"not started: {errno.errorcode[self.error]} ({why})"
        if self.signal:
            try:
                name = f" ({signal.Signals(self.signal).name})"
            except ValueError:  # a real-time signal has none
                name = ""
            return f"killed by signal {self.signal}{name}"
        return f"exit status {self.status}"

    @property
    def line(self) -> str:
        """One line, with the last one of its output."""
        words = f": {self.output[-1].strip()}" if self.output else ", no output"
        return f"generation {self.generation}: {self.command}: {self.how}{words}"


def command_of(event: GuestEvent, spec: RunSpec) -> str:
    """The program that an event is about, as the run has it. Raises EventFieldError."""
    programs, number = spec.programs_of(event.generation), event.number("number")
    return shlex.join(programs[number]) if number < len(programs) else event.text("path")
