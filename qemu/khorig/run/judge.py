# SPDX-License-Identifier: BSD-3-Clause
"""The verdict over a run: a conjunction of clauses, each of which has to be evaluated."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.status import PASS
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.errors import DecodeError
from khorig.mem.memory import RamMemory
from khorig.rules import cpus
from khorig.rules.clauses import Clauses
from khorig.rules.entry_clauses import ENTRY_CLAUSES, HANDOFF_CLAUSE
from khorig.rules.finding import Finding
from khorig.rules.kept_pages import CLAUSE as KEPT_CLAUSE
from khorig.rules.kept_pages import check_kept
from khorig.rules.restored_clauses import RESTORED_CLAUSES
from khorig.rules.runtime_services import CLAUSE, RuntimeServices
from khorig.rules.scenarios import churn, recursion, storm
from khorig.rules.sealed_clauses import SEALED_CLAUSES
from khorig.rules.sealed_state import SealedState, take_sealed_state
from khorig.rules.stop import Stop
from khorig.run.judging import Statistics, StopContext
from khorig.run.memory_picture import draw_memory, draw_places

ClauseTable = Mapping[str, Callable[[Stop, SealedState], list[Finding]]]

_TABLES: Mapping[str, ClauseTable] = {
    "sealed": SEALED_CLAUSES,
    "entry": ENTRY_CLAUSES,
    "restored": RESTORED_CLAUSES,
}
# What else must hold at `sealed`, for scenarios whose state the seed alone decides.
_SCENARIO_TABLES: Mapping[str, ClauseTable] = {
    "recursion": {recursion.CLAUSE: recursion.check_fragment_tree},
    "churn": {churn.CLAUSE: churn.check_churn},
}
# The same, where it names the cause of what the other clauses would find, and so comes first.
_FIRST_TABLES: Mapping[str, ClauseTable] = {
    "storm": {storm.CLAUSE: storm.check_storm},
}
# What must hold besides where there are several CPUs.
_CPU_TABLES: Mapping[str, ClauseTable] = {
    "sealed": {cpus.ONLINE_CLAUSE: cpus.check_online},
    "entry": {cpus.PARKED_CLAUSE: cpus.check_parked},
    "restored": {cpus.ONLINE_CLAUSE: cpus.check_online},
}


class HandoverJudge:
    """The Judge of a chain of handovers (see khorig.run.judging.Judge).

    At `sealed` everything handed over is read, hashed and checked against what the guest says of
    it; at `entry` and `restored` of the next generation it must still be all that, bit for bit.
    """

    def __init__(self, spec: KhorigRun) -> None:
        self._spec = spec
        self._geometry = GEOMETRY_4K
        self._clauses = Clauses()
        self._facts: dict[int, GuestFacts] = {}
        self._sealed: SealedState | None = None
        self._statistics = Statistics()
        self._picture: Mapping[str, Any] | None = None
        self._firmware = RuntimeServices() if spec.boot == "uefi" else None
        if spec.expected_status == PASS:
            self._expect()

    @property
    def statistics(self) -> Statistics:
        """See khorig.run.judging.Judge."""
        return self._statistics

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """See khorig.run.judging.Judge."""
        return self._picture

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """Takes in what the guest says; nothing is decided before a stop. Raises
        EventFieldError."""
        self._facts.setdefault(event.generation, GuestFacts()).take(event)
        return self._firmware.take(event) if self._firmware else []

    def on_stop(self, context: StopContext) -> list[Finding]:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        stop = Stop(
            generation=context.generation,
            at=context.at,
            event=context.event,
            arch=context.machine.arch,
            memory=RamMemory(context.ram),
            facts=self._facts.setdefault(context.generation, GuestFacts()),
            geometry=self._geometry,
            spec=self._spec,
            running_cpus=context.running_cpus,
        )
        findings = [*self._check_firmware(stop), *self._check_handover(stop)]
        self._picture = None
        if stop.at == "sealed":
            self._picture = draw_memory(stop, self._sealed, findings)
        elif findings and self._sealed is not None:
            self._picture = draw_places(stop, self._sealed, findings)
        return findings

    def _check_firmware(self, stop: Stop) -> list[Finding]:
        """The first kernel names the regions after its `entry`."""
        if self._firmware is None or (stop.generation == 1 and stop.at != "sealed"):
            return []
        self._clauses.evaluated(CLAUSE, stop.generation)
        return self._firmware.check(stop)

    def _check_handover(self, stop: Stop) -> list[Finding]:
        if stop.at == "sealed":
            return self._on_sealed(stop)
        sealed = self._sealed
        if stop.at not in _TABLES or sealed is None:
            return []
        if sealed.generation != stop.generation - 1:
            return []
        self._statistics.pages_compared += len(sealed.hashes.frames)
        return self._evaluate(stop, sealed)

    def finish(self, exit_status: int | None) -> list[Finding]:
        """See khorig.run.judging.Judge."""
        return [
            Finding(
                "missing-clause",
                f"clause '{name}, generation {generation}' was never evaluated",
                generation=generation,
            )
            for name, generation in self._clauses.missing()
        ]

    def _expect(self) -> None:
        """Every clause that this run is to evaluate, in the order of the run."""
        spec = self._spec
        if "sealed" not in spec.stops:
            return  # nothing to compare with
        for generation in range(1, spec.generations + 1):
            stops = []
            if generation > 1:
                stops.append("entry")
                if self._takes_over(generation):
                    stops.append("restored")
            if generation < spec.generations:
                stops.append("sealed")
            if self._firmware is not None and set(stops) & set(spec.stops):
                self._clauses.expect(CLAUSE, generation)
            if "sealed" in stops and self._takes_over(generation):
                self._clauses.expect(KEPT_CLAUSE, generation)
            for at in stops:
                for name in self._table(at, generation) if at in spec.stops else ():
                    self._clauses.expect(name, generation)

    def _takes_over(self, generation: int) -> bool:
        """Whether the generation is to take a handover and not to refuse it."""
        return generation > 1 and generation not in self._spec.expected_refusals

    def _table(self, at: str, generation: int) -> ClauseTable:
        """The clauses of a stop. The hand-off to a generation that is to refuse it may be what the
        host itself has damaged."""
        damaged = generation in self._spec.expected_refusals and at == "entry"
        table = {
            name: check
            for name, check in _TABLES[at].items()
            if not (damaged and name == HANDOFF_CLAUSE)
        }
        if self._spec.smp > 1:
            table.update(_CPU_TABLES[at])
        if at == "sealed":
            table.update(_SCENARIO_TABLES.get(self._spec.scenario, {}))
            table = {**_FIRST_TABLES.get(self._spec.scenario, {}), **table}
        return table

    def _on_sealed(self, stop: Stop) -> list[Finding]:
        before, self._sealed = self._sealed, None
        if stop.facts.memory is None:
            return [stop.finding("handover", "there was no 'memory' event before this stop")]
        try:
            sealed = take_sealed_state(
                stop.memory,
                stop.event.address("root"),
                stop.generation,
                stop.facts.memory.scratch,
                stop.geometry,
            )
        except DecodeError as error:
            self._clauses.evaluated("handover", stop.generation)
            return [stop.finding_of("handover", error.problem, "root")]
        self._sealed = sealed
        self._count(sealed)
        findings = self._evaluate(stop, sealed)
        if self._takes_over(stop.generation) and before is not None:
            findings += check_kept(stop, sealed, before)
            self._clauses.evaluated(KEPT_CLAUSE, stop.generation)
        return findings

    def _evaluate(self, stop: Stop, sealed: SealedState) -> list[Finding]:
        findings: list[Finding] = []
        for name, check in self._table(stop.at, stop.generation).items():
            findings += check(stop, sealed)
            self._clauses.evaluated(name, stop.generation)
        return findings

    def _count(self, sealed: SealedState) -> None:
        """Keeps the largest values over all generations."""
        counted = self._statistics
        handover = sealed.handover
        pages = handover.blocks.page_count
        counted.preserved_blocks = max(counted.preserved_blocks, len(handover.blocks))
        counted.preserved_pages = max(counted.preserved_pages, pages)
        counted.preserved_bytes = counted.preserved_pages << self._geometry.page_shift
        counted.fragments = max(counted.fragments, len(handover.fragments))
        counted.fragment_depth = max(counted.fragment_depth, handover.depth)
        counted.radix_nodes = max(counted.radix_nodes, len(handover.tree.nodes))
