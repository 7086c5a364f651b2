# SPDX-License-Identifier: BSD-3-Clause
"""A stop of a run, the input of rules."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Callable

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.machine import (
    CpuModes,
    DeviceStates,
    Outside,
    RunningCpu,
    Translate,
    translates_nothing,
)
from khorig.guest.spec import RunSpec
from khorig.kho.frame_table import FrameTable, read_frame_table
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.formats.dump import Dump, DumpMemory, RunFacts
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding


@dataclass(frozen=True)
class Stop:
    """A waiting guest and its memory. Valid only during the stop."""

    generation: int
    at: str
    event: GuestEvent
    machine: Dump  # the live machine as a dump
    facts: GuestFacts  # of this generation
    geometry: Geometry
    spec: RunSpec
    running_cpus: tuple[RunningCpu, ...] = ()
    devices: DeviceStates = DeviceStates()
    translate: Translate = translates_nothing
    level: int | None = None  # exception level of CPU 0 at `entry` on arm64, as QEMU shows it
    level_before: int | None = None  # the same when the predecessor was entered
    modes: CpuModes = CpuModes()
    outside: tuple[Outside, ...] = ()  # what the probe has seen since `sealed`

    @property
    def memory(self) -> DumpMemory:
        """Guest memory."""
        return self.machine.memory

    @property
    def arch(self) -> str:
        """Guest architecture, "x86_64" or "arm64"."""
        assert self.machine.arch is not None
        return self.machine.arch

    def dump(self, root: int | None) -> Dump:
        """The machine as a dump with `root` and the guest's reported memory layout."""
        memory = self.facts.memory
        table = None
        if memory is not None:
            table = (memory.table, memory.first_frame, memory.frame_count)
        run = RunFacts(
            generation=self.generation,
            at=self.at,
            root=root,
            parameters=self.facts.parameters,
            scratch=memory.scratch if memory else self.facts.told.areas,
            frame_table=table,
        )
        return dataclasses.replace(self.machine, run=run)

    @cached_property
    def frames(self) -> FrameTable:
        """The frame table of khorig's page allocator. Only after event `memory`. Raises
        DecodeError."""
        memory = self.facts.memory
        assert memory is not None, "no event `memory` yet"
        return read_frame_table(
            self.memory, memory.table, memory.first_frame, memory.frame_count, self.geometry
        )

    def finding(
        self,
        rule: str,
        what: str,
        address: int | None = None,
        owner: str = "",
        evidence: tuple[str, ...] = (),
        changed: Changed | None = None,
    ) -> Finding:
        """A finding at this stop; `address` is physical."""
        where = "" if address is None else f"{address:#018x}"
        place = (where, owner, self.generation, self.at)
        return Finding(rule, what, *place, evidence, changed=changed)

    def finding_of(self, rule: str, problem: Problem, owner: str = "") -> Finding:
        """A decoder problem as a finding."""
        return self.finding(rule, f"{problem.id}: {problem.text}", problem.address, owner)

    def no_event(self, rule: str, kind: str) -> list[Finding]:
        """The finding of a rule whose event is missing."""
        return [self.finding(rule, f"no '{kind}' event before this stop")]


def decoded(stop: Stop, rule: str, owner: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """Findings of `look`; a DecodeError from it becomes a finding."""
    try:
        return look()
    except DecodeError as error:
        return [stop.finding_of(rule, error.problem, owner)]
