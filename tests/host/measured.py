# SPDX-License-Identifier: BSD-3-Clause
"""What a call costs, in a process of its own.

The peak of memory that the kernel keeps of a process never falls, and the wall clock also counts
what else the machine does: neither is a measure of a call in a test process.
"""

from __future__ import annotations

import os
import resource
import traceback
from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Cost:
    """Of a call."""

    cpu_s: float  # user and system
    grown_kib: int  # the most memory that was resident, less what was before the call


def cost_of(call: Callable[[], object]) -> Cost:
    """Calls `call` in a child process, which has a peak of its own. Raises AssertionError with the
    child's traceback when the call raises."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            status = _measure(call, writer)
        finally:
            os._exit(status)  # no handler of the test runner runs twice
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        words = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, words or f"the call ended its process with status {status:#x}"
    cpu_s, grown_kib = words.split()
    return Cost(float(cpu_s), int(grown_kib))


def _measure(call: Callable[[], object], writer: int) -> int:
    """Writes the cost, or a traceback. The exit status."""
    with open(writer, "w", encoding="utf-8") as answer:
        before = resource.getrusage(resource.RUSAGE_SELF)
        try:
            call()
        except BaseException:
            answer.write(traceback.format_exc())
            return 1
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        answer.write(f"{cpu_s} {after.ru_maxrss - before.ru_maxrss}")
    return 0
