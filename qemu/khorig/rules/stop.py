# SPDX-License-Identifier: BSD-3-Clause
"""A stop of the guest, as the clauses see it."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.machine import RunningCpu
from khorig.guest.spec import RunSpec
from khorig.kho.layout import Geometry
from khorig.mem.errors import Problem
from khorig.mem.memory import PhysicalMemory
from khorig.rules.finding import Finding


@dataclass(frozen=True)
class Stop:
    """Where the guest waits, and its memory there. Lives as long as the stop."""

    generation: int
    at: str
    event: GuestEvent
    arch: str
    memory: PhysicalMemory
    facts: GuestFacts  # of this generation
    geometry: Geometry
    spec: RunSpec
    running_cpus: tuple[RunningCpu, ...] = ()

    def finding(
        self,
        clause: str,
        what: str,
        address: int | None = None,
        owner: str = "",
        evidence: tuple[str, ...] = (),
    ) -> Finding:
        """A finding at this stop; `address` is physical."""
        where = "" if address is None else f"{address:#018x}"
        return Finding(clause, what, where, owner, self.generation, self.at, evidence)

    def finding_of(self, clause: str, problem: Problem, owner: str = "") -> Finding:
        """A problem of the decoder as a finding."""
        what = f"{problem.id}: {problem.text}"
        return self.finding(clause, what, problem.address, owner)
