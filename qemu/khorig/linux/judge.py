# SPDX-License-Identifier: BSD-3-Clause
"""The verdict over a chain with real Linux in it."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.kho.boot.handoff import find_handoff
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.scratch import read_scratch
from khorig.linux.expectations import Expectations
from khorig.linux.linux_monitor import LinuxWords
from khorig.linux.relay_clauses import check_relayed, kept_hashes
from khorig.linux.snapshot import Snapshot, take_snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Finding
from khorig.rules.page_changes import compare_pages
from khorig.rules.page_hashes import PageHashes
from khorig.rules.runtime_services import RuntimeServices
from khorig.rules.sealed_clauses import check_claims
from khorig.rules.sealed_state import SealedState, take_sealed_state
from khorig.rules.stop import Stop
from khorig.run.judging import Statistics, StopContext
from khorig.run.memory_picture import draw_memory


class LinuxJudge:
    """The Judge of a chain in which some kernels are Linux (see khorig.run.judging.Judge).

    Three witnesses have to agree: what Linux says of the handover, its own checkers included; what
    khorig says when it takes one over; and guest memory, hashed before the jump and after it.
    """

    def __init__(self, spec: ChainRun) -> None:
        self._spec = spec
        self._expectations = Expectations(spec)
        self._words = LinuxWords(spec)
        self._facts: dict[int, GuestFacts] = {}
        self._before: Snapshot | None = None  # of all memory, taken in a Linux before it jumps
        self._sealed: SealedState | None = None  # what the last khorig handed over
        self._arrived: SealedState | None = None  # what this khorig was handed
        self._firmware = RuntimeServices() if spec.boot == "uefi" else None
        self._statistics = Statistics()
        self._picture: Mapping[str, Any] | None = None

    @property
    def statistics(self) -> Statistics:
        """See khorig.run.judging.Judge."""
        return self._statistics

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """See khorig.run.judging.Judge."""
        return self._picture

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        if not self._is_linux(event.generation):
            self._facts.setdefault(event.generation, GuestFacts()).take(event)
        self._expectations.take(event)
        moved = self._firmware.take(event) if self._firmware else []
        return [*moved, *self._words.take(event)]

    def on_stop(self, context: StopContext) -> list[Finding]:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        stop = Stop(
            spec=self._spec,
            generation=context.generation,
            at=context.at,
            event=context.event,
            arch=context.machine.arch,
            memory=RamMemory(context.ram),
            facts=self._facts.setdefault(context.generation, GuestFacts()),
            geometry=GEOMETRY_4K,
        )
        findings = [*self._check_firmware(stop), *self._check(stop, context)]
        state = self._sealed if stop.at == "sealed" else self._arrived
        self._picture = None
        if state is not None and (stop.at == "sealed" or findings):
            self._picture = draw_memory(stop, state, findings)
        return findings

    def _check_firmware(self, stop: Stop) -> list[Finding]:
        """The first kernel names the regions after its `entry`, a Linux never does."""
        if self._firmware is None or (stop.generation == 1 and stop.at != "sealed"):
            return []
        if self._is_linux(stop.generation):
            return self._firmware.compare(stop)
        return self._firmware.check(stop)

    def _check(self, stop: Stop, context: StopContext) -> list[Finding]:
        if self._is_linux(context.generation):
            return self._on_linux(stop, context)
        if context.at == "entry":
            return self._on_entry(stop)
        if context.at == "restored":
            return self._compare(stop, self._arrived, "restored hashes")
        if context.at == "sealed":
            return self._on_sealed(stop)
        return []

    def finish(self, exit_status: int | None) -> list[Finding]:
        """See khorig.run.judging.Judge."""
        return self._expectations.finish()

    def _is_linux(self, generation: int) -> bool:
        names = self._spec.kernels
        return 0 < generation <= len(names) and is_linux(names[generation - 1])

    def _on_linux(self, stop: Stop, context: StopContext) -> list[Finding]:
        if stop.at == "sealed":
            self._before = take_snapshot(context.ram, stop.generation)
            return []
        findings = self._reserved_only(stop) if stop.at == "restored" else []
        self._sealed = None
        return findings

    def _reserved_only(self, stop: Stop) -> list[Finding]:
        """By now a Linux has taken back and freed what it knows; reserved memory has to stay."""
        if self._sealed is None:
            return []
        names = [n for n in self._sealed.owners.names if n.startswith("memblock/")]
        frames = self._sealed.owners.pages_of(*names)
        kept = np.isin(self._sealed.hashes.frames, frames)
        return self._compare(stop, self._sealed, "linux hashes", self._sealed.hashes.select(kept))

    def _on_entry(self, stop: Stop) -> list[Finding]:
        """khorig's first words: find what it was handed, by the boot protocol alone, and compare it
        with what was there before the jump."""
        sealed, before = self._sealed, self._before
        self._sealed = self._before = self._arrived = None
        if stop.generation == 1 or stop.facts.parameters is None:
            return []
        try:
            handoff = find_handoff(stop.memory, stop.arch, stop.facts.parameters)
            if handoff is None:
                what = "the boot parameters carry no handover"
                return [stop.finding("hand-off", what, stop.facts.parameters)]
            scratch = read_scratch(stop.memory, handoff.scratch_array)
            arrived = take_sealed_state(
                stop.memory, handoff.root.value, stop.generation - 1, scratch, stop.geometry
            )
        except DecodeError as error:
            return [stop.finding_of("hand-off", error.problem, "root")]
        self._arrived = arrived
        self._count(arrived)
        findings = [
            stop.finding_of("handover", problem)
            for problem in (*arrived.handover.problems, *arrived.problems)
        ]
        findings += check_claims(stop, arrived)
        if before is not None:
            findings += before.compare(stop, arrived)
        elif sealed is not None:
            findings += self._compare(stop, sealed, "entry hashes")
        return findings

    def _on_sealed(self, stop: Stop) -> list[Finding]:
        if stop.facts.memory is None:
            return [stop.finding("handover", "there was no 'memory' event before this stop")]
        try:
            self._sealed = take_sealed_state(
                stop.memory,
                stop.event.address("root"),
                stop.generation,
                stop.facts.memory.scratch,
                stop.geometry,
            )
        except DecodeError as error:
            return [stop.finding_of("handover", error.problem, "root")]
        self._count(self._sealed)
        findings = [stop.finding_of("handover", p) for p in self._sealed.handover.problems]
        if self._arrived is not None:
            findings += check_relayed(stop, self._arrived, self._sealed)
            kept = kept_hashes(self._arrived, self._sealed)
            findings += self._compare(stop, self._arrived, "relayed hashes", kept)
        return findings

    def _compare(
        self,
        stop: Stop,
        state: SealedState | None,
        clause: str,
        hashes: PageHashes | None = None,
    ) -> list[Finding]:
        if state is None:
            return []
        hashes = state.hashes if hashes is None else hashes
        self._statistics.pages_compared += len(hashes.frames)
        return compare_pages(stop, state, hashes, clause)

    def _count(self, state: SealedState) -> None:
        counted = self._statistics
        handover = state.handover
        counted.preserved_blocks = max(counted.preserved_blocks, len(handover.blocks))
        counted.preserved_pages = max(counted.preserved_pages, handover.blocks.page_count)
        counted.preserved_bytes = counted.preserved_pages << GEOMETRY_4K.page_shift
        counted.fragments = max(counted.fragments, len(handover.fragments))
        counted.fragment_depth = max(counted.fragment_depth, handover.depth)
        counted.radix_nodes = max(counted.radix_nodes, len(handover.tree.nodes))
