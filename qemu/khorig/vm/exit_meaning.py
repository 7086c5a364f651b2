# SPDX-License-Identifier: BSD-3-Clause
"""Why a program of the host ended, from its exit status and its last lines."""

from __future__ import annotations

import re
import signal
from typing import Sequence

# As shells and setpriv have it.
_MEANINGS = {126: "cannot be executed", 127: "not found"}
_OUT_OF_MEMORY = " (perhaps by the OOM killer, see dmesg)"
_WARNING = re.compile(r"\bwarning\b", re.IGNORECASE)
_ERROR = re.compile(r"\b(fatal )?error\b", re.IGNORECASE)


def describe_status(status: int) -> str:
    """An exit status in words; one below 0 is that of a signal, as in subprocess."""
    if status < 0:
        name = _signal_name(-status)
        return f"was killed by {name}" + (_OUT_OF_MEMORY if status == -signal.SIGKILL else "")
    meaning = _MEANINGS.get(status)
    if meaning is None and status > 128:
        meaning = _signal_name(status - 128)
    return f"exited with status {status}" + (f" ({meaning})" if meaning else "")


def cause_in(lines: Sequence[str], program: str = "") -> str:
    """The line that says why `program` gave up, or "": the last that is an error of its own. What
    follows it is advice, and warnings have other causes."""
    told = [line for line in lines if line.strip() and not _WARNING.search(line)]
    own = [line for line in told if program and line.startswith(f"{program}:")]
    chosen = own or [line for line in told if _ERROR.search(line)] or told or list(lines)
    return chosen[-1].strip() if chosen else ""


def last_lines(lines: Sequence[str], count: int) -> tuple[str, ...]:
    """The end of a program's output, and before it the errors that do not lie there."""
    tail = lines[-count:]
    errors = [line for line in lines[:-count] if _ERROR.search(line) and not _WARNING.search(line)]
    return (*errors[:count], *tail)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
