# SPDX-License-Identifier: BSD-3-Clause
"""Findings and verdicts."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any

from khorig.mem.untrusted import typed
from khorig.rules.changed import Changed
from khorig.rules.reason import Reason


class Verdict(enum.Enum):
    """Result of a run."""

    PASS = "PASS"
    SKIP = "SKIP"  # not run, with a reason
    FAIL = "FAIL"  # a rule is violated, or the guest reports an error
    CRASH = "CRASH"  # the guest died: exception, triple fault, unexpected reset
    HANG = "HANG"  # no progress
    INFRA = "INFRA"  # QEMU or host trouble; says nothing about the guest


@dataclass(frozen=True)
class Finding:
    """One violation. The first finding of a run is the cause of its verdict."""

    rule: str  # violated rule, "KHR-I080"; "" if none was evaluated
    what: str  # one line, both values at full width in hexadecimal
    where: str = ""  # page or address, "0x000000001f2c4000", or file:line in the guest
    owner: str = ""  # owner of the page: "store 'db0' page 4", "scratch", "radix node", ...
    generation: int = 0  # running generation; 0 before the first
    stop: str = ""  # "sealed", "entry", "restored"; "" between stops
    evidence: tuple[str, ...] = ()  # further lines: byte differences, neighbours; at most ~12
    verdict: Verdict = Verdict.FAIL
    changed: Changed | None = None  # memory that should not have, since an earlier stop
    why: tuple[Reason, ...] = ()  # what the address has to do with the rest of the machine

    @staticmethod
    def of(record: Any) -> Finding:
        """From JSON. Raises Untrusted."""
        return typed(Finding, record, verdict=Verdict, changed=Changed.of, why=Reason.many)

    def json(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "verdict": self.verdict.value}

    def __repr__(self) -> str:
        stop = f"generation {self.generation} {self.stop}".rstrip() if self.generation else ""
        place = ", ".join(part for part in (stop, self.where) if part)
        owner = f" ({self.owner})" if self.owner else ""
        return f"<{self.rule or self.verdict.value} {place}: {self.what}{owner}>"
