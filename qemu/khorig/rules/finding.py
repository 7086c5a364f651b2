# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong, and how bad that is."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """How a run ended."""

    PASS = "PASS"
    SKIP = "SKIP"  # not run, with a reason
    FAIL = "FAIL"  # the rig, or the guest itself, says why
    CRASH = "CRASH"  # the guest died: exception, triple fault, unexpected reset
    HANG = "HANG"  # no progress
    INFRA = "INFRA"  # QEMU or host trouble; says nothing about the guest


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. The first finding of a run is the cause of its verdict."""

    rule: str  # that does not hold, "KHR-I080"; "" where nothing was looked at
    what: str  # one line, both values at full width in hexadecimal
    where: str = ""  # page or address, "0x000000001f2c4000", or file:line in the guest
    owner: str = ""  # who the page belongs to: "store 'db0' page 4", "scratch", "radix node", ...
    generation: int = 0  # the generation that was running; 0 when none was
    stop: str = ""  # "sealed", "entry", "restored", or "" when between stops
    evidence: tuple[str, ...] = ()  # further lines: byte differences, neighbours; at most ~12
    verdict: Verdict = Verdict.FAIL

    def __repr__(self) -> str:
        stop = f"generation {self.generation} {self.stop}".rstrip() if self.generation else ""
        place = ", ".join(part for part in (stop, self.where) if part)
        owner = f" ({self.owner})" if self.owner else ""
        return f"<{self.rule or self.verdict.value} {place}: {self.what}{owner}>"
