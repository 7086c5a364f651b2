# SPDX-License-Identifier: BSD-3-Clause
"""A stop of a run, as rules see it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Callable

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.machine import RunningCpu
from khorig.guest.spec import RunSpec
from khorig.kho.frame_table import FrameTable, read_frame_table
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.formats.dump import Dump, DumpMemory, RunFacts
from khorig.rules.finding import Finding


@dataclass(frozen=True)
class Stop:
    """Where the guest waits, and its memory there. Lives as long as the stop."""

    generation: int
    at: str
    event: GuestEvent
    machine: Dump  # the machine, as a dump of a machine that runs
    facts: GuestFacts  # of this generation
    geometry: Geometry
    spec: RunSpec
    running_cpus: tuple[RunningCpu, ...] = ()

    @property
    def memory(self) -> DumpMemory:
        """The guest's."""
        return self.machine.memory

    @property
    def arch(self) -> str:
        """The guest's."""
        assert self.machine.arch is not None
        return self.machine.arch

    def dump(self, root: int | None) -> Dump:
        """The machine as a dump that names `root` and what the guest printed of its memory."""
        memory = self.facts.memory
        table = None
        if memory is not None:
            table = (memory.table, memory.first_frame, memory.frame_count)
        run = RunFacts(
            generation=self.generation,
            at=self.at,
            root=root,
            parameters=self.facts.parameters,
            scratch=memory.scratch if memory else (),
            frame_table=table,
        )
        return dataclasses.replace(self.machine, run=run)

    @cached_property
    def frames(self) -> FrameTable:
        """The table of khorig's page allocator. Raises DecodeError; only after `memory`."""
        memory = self.facts.memory
        assert memory is not None, "the event `memory` came before"
        return read_frame_table(self.memory, memory.table, memory.first_frame, memory.frame_count)

    def finding(
        self,
        rule: str,
        what: str,
        address: int | None = None,
        owner: str = "",
        evidence: tuple[str, ...] = (),
    ) -> Finding:
        """A finding at this stop; `address` is physical."""
        where = "" if address is None else f"{address:#018x}"
        return Finding(rule, what, where, owner, self.generation, self.at, evidence)

    def finding_of(self, rule: str, problem: Problem, owner: str = "") -> Finding:
        """A problem of the decoder as a finding."""
        return self.finding(rule, f"{problem.id}: {problem.text}", problem.address, owner)

    def no_event(self, rule: str, kind: str) -> list[Finding]:
        """What a rule finds that needs an event which did not come."""
        return [self.finding(rule, f"there was no '{kind}' event before this stop")]


def decoded(stop: Stop, rule: str, owner: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What `look` finds; a DecodeError that it raises is the finding."""
    try:
        return look()
    except DecodeError as error:
        return [stop.finding_of(rule, error.problem, owner)]
