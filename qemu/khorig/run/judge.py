# SPDX-License-Identifier: BSD-3-Clause
"""The verdict over a run: every applicable rule at every stop, for any kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Mapping, Sequence

import numpy as np

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.machine import MachineFacts
from khorig.guest.spec import RunSpec
from khorig.guest.status import PASS
from khorig.kho.snapshot import NoHandover, Snapshot, find_snapshot
from khorig.mem.guest_ram import GuestRam
from khorig.rules.finding import Finding
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.at_stops import scenario_rule
from khorig.rules.protocol.ram import check_ram
from khorig.rules.stop import Stop
from khorig.rules.temporal import definitions as temporal
from khorig.rules.temporal.handoff import HandoffBytes, read_handoff_bytes
from khorig.rules.temporal.keeping import Span, pages_that_stay
from khorig.rules.temporal.page_hashes import hash_pages
from khorig.rules.temporal.pages import Before, compare_pages
from khorig.rules.temporal.record import FullRecord, Record, take_full_record, take_record
from khorig.rules.temporal.runtime_services import RuntimeServices
from khorig.rules.why import Why
from khorig.run.counters import read_counters
from khorig.run.examination import Examination, Findings
from khorig.run.fired_fault import FiredFault
from khorig.run.judging import Statistics, StopContext, Witness
from khorig.run.make_stop import make_stop
from khorig.run.memory_picture import draw_memory, draw_places
from khorig.run.proven import count_handover

if TYPE_CHECKING:
    from khorig.rules.temporal.firmware_tables import FirmwareTables


class RunJudge(Examination):
    """The Judge of a run (see khorig.run.judging.Judge).

    At `sealed` the handover is decoded, hashed, and checked by the static rules and against the
    guest's events; at later stops it must be bit-identical. Linux does not report its handover: all
    of its memory is hashed before the jump and compared with what arrives.
    """

    def __init__(self, spec: RunSpec, witnesses: Sequence[Witness] = ()) -> None:
        """`witnesses` receive every event, too; they check events of particular kernels."""
        super().__init__(spec)
        self._witnesses = (*witnesses, FiredFault(spec), self._memfds)
        self._facts: dict[int, GuestFacts] = {}
        self._levels: dict[int, int | None] = {}  # of exceptions, when a kernel was entered
        self._generation = 0
        self._before: Record | FullRecord | None = None  # as left by the previous kernel
        self._arrived: Record | None = None  # as received by this kernel, a khorig
        self._restoring: Record | None = None  # the same, until restored
        self._names: HandoffBytes | None = None  # boot parameters pointing to it at `entry`
        self._booting_linux = False  # until its user space runs
        self._running: Before | None = None  # written once by this kernel, a Linux
        uefi = spec.boot == "uefi"
        # A Linux that the firmware starts does not hand on what is its services' memory.
        self._firmware = RuntimeServices() if uefi and not self._plan.is_linux(1) else None
        self._tables = _firmware_tables() if uefi else None
        self._why = Why()
        self._picture: Mapping[str, Any] | None = None
        self._counters: Mapping[str, int] = {}

    @property
    def statistics(self) -> Statistics:
        """See khorig.run.judging.Judge."""
        self._statistics.jumps = self._coverage.jumps
        return self._statistics

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """See khorig.run.judging.Judge."""
        return self._picture

    @property
    def counters(self) -> Mapping[str, int]:
        """See khorig.run.judging.Judge."""
        return self._counters

    def on_event(self, event: GuestEvent) -> Findings:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        if event.kind == "boot":
            self._begin(event.generation)
        if event.kind in ("refused", "stress-start") and self._plan.is_linux(event.generation):
            self._booting_linux = False  # it went on cold, or has looked at all that arrived
        findings = self._firmware.take(event) if self._firmware else []
        if event.kind in ("debugfs", "memory-map") or not self._plan.is_linux(event.generation):
            self._facts.setdefault(event.generation, GuestFacts()).take(event)
        for witness in self._witnesses:
            findings += witness.take(event)
        return findings

    def _begin(self, generation: int) -> None:
        """Drops the facts of earlier generations. A kernel begins at its `boot`, or at an `entry`
        that it does not announce."""
        if generation == self._generation:
            return
        if self._generation:
            self._close(self._generation)
        self._facts = {g: f for g, f in self._facts.items() if g >= generation}
        self._restoring = None
        self._booting_linux = generation > 1 and self._plan.is_linux(generation)
        self._generation = generation
        if "entry" not in self._spec.stops_of(generation):  # nothing was seen to arrive
            sealed = self._before
            is_own = isinstance(sealed, Record) and not self._plan.is_linux(generation)
            self._arrived = sealed if is_own else None  # type: ignore[assignment]

    def _close(self, generation: int) -> None:
        stops = self._spec.stops_of(generation)
        self._evaluated.close(generation, {at: self._plan.due(generation, at) for at in stops})

    def on_stop(self, context: StopContext) -> Findings:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        if context.at == "entry":
            self._begin(context.generation)
        stop = self._stop(context)
        found = self._check_firmware(stop) + self._check(stop, context.is_jump)
        found += self._check_more(stop) + self._check_given(stop)
        record = self._before if stop.at == "sealed" else self._arrived or self._before
        snapshot = record.snapshot if record else None
        found += self._check_pci(stop, context.pci, snapshot) + self._check_poison(stop, snapshot)
        findings = self._why.explain(stop, snapshot, found)
        self._counters = read_counters(stop, snapshot)
        live = snapshot.clients.live_cpu if snapshot else None
        if context.accesses and live and stop.at == "sealed":
            context.accesses.expect(live, stop.geometry.page_size)
        self._picture = None
        if stop.at == "sealed":
            self._picture = draw_memory(stop, snapshot, findings)
        elif findings and snapshot is not None:
            self._picture = draw_places(stop, snapshot, findings)
        return findings

    def on_tampered(self, context: StopContext) -> None:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        stop, before = self._stop(context), self._before
        if isinstance(before, FullRecord):
            self._before = before.taken_again(stop.memory)
        elif before is not None:
            self._before = take_record(before.generation, before.at, before.snapshot)
        if self._arrived is not None:
            arrived = self._arrived
            self._arrived = take_record(arrived.generation, arrived.at, arrived.snapshot)
        if self._restoring is not None:
            self._restoring, self._names = self._arrived, read_handoff_bytes(stop)

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> Findings:
        """See khorig.run.judging.Judge. From the seal until all is restored, neither the handover
        nor the boot parameters pointing to it may change."""
        now = GuestEvent("trouble", self._generation, 0, 0.0, {})
        stop = self._stop(StopContext(self._generation, "", now, ram, machine))
        findings: Findings = []
        if self._firmware and not self._plan.is_linux(self._generation):
            findings += self._firmware.compare(stop)
        if self._tables:
            findings += self._tables.compare(stop, dead=True)
        if self._booting_linux:
            findings += self._compare_under_linux(stop)
        arrived, names = self._restoring, self._names
        self._restoring = None
        if arrived is None:
            sealed = self._before
            if not isinstance(sealed, Record) or sealed.generation != self._generation:
                return self._why.explain(stop, None, findings)
            findings += compare_pages(stop, Before.of(sealed), temporal.PAGES_ACROSS_JUMP)
            return self._why.explain(stop, sealed.snapshot, findings)
        if stop.facts.memory is None:  # boot parameters and tracker are still needed
            findings += names.compare(stop) if names else []
            nodes = Before.of(arrived, arrived.node_hashes)
            findings += compare_pages(stop, nodes, temporal.TRACKER_ACROSS_JUMP)
        findings += compare_pages(stop, Before.of(arrived), temporal.PAGES_UNTIL_RESTORED)
        return self._why.explain(stop, arrived.snapshot, findings)

    def _stop(self, context: StopContext) -> Stop:
        facts = self._facts.setdefault(context.generation, GuestFacts())
        if context.at == "entry":
            self._levels[context.generation] = context.level
        before = self._levels.get(context.generation - 1)
        return replace(make_stop(context, facts, self._spec), level_before=before)

    def finish(self, exit_status: int | None) -> Findings:
        """See khorig.run.judging.Judge."""
        findings = [finding for witness in self._witnesses for finding in witness.finish()]
        if self._spec.expected_status != PASS:
            return findings
        if self._generation:
            self._close(self._generation)
        return [*findings, *self._evaluated.missing, *self._uncompared()]

    def _uncompared(self) -> Findings:
        jumps = range(1, min(self._spec.generations, self._generation + 1))
        for jump in jumps:
            if self._plan.is_compared(jump) and not self._coverage.pages(jump):
                what = f"no pages compared across the jump from generation {jump} to {jump + 1}"
                return [Finding(protocol.COMPARED, what, generation=jump + 1)]
        return []

    def _check_firmware(self, stop: Stop) -> Findings:
        """The first kernel reports the regions after its `entry`, Linux never does."""
        if self._tables is None:
            return []
        is_linux = self._plan.is_linux(stop.generation)
        findings: Findings = []
        for rule, found in self._tables.check(stop).items():
            self._evaluated.add(rule, stop.generation, stop.at)
            findings += found
        if self._firmware is None or (stop.generation == 1 and stop.at != "sealed"):
            return findings
        self._evaluated.add(temporal.RUNTIME_SERVICES, stop.generation, stop.at)
        look = self._firmware.of_caller if is_linux else self._firmware.check
        return findings + look(stop)

    def _check(self, stop: Stop, is_jump: bool) -> Findings:
        is_linux = self._plan.is_linux(stop.generation)
        if stop.at == "sealed":
            return self._on_linux_sealed(stop, is_jump) if is_linux else self._on_sealed(stop)
        if stop.generation == 1 and not is_linux:
            return []
        if is_linux:
            return (
                self._on_linux_restored(stop)
                if stop.at == "restored"
                else self._on_linux_entry(stop)
            )
        if stop.at == "entry":
            return self._on_entry(stop)
        if stop.at == "settled":
            return self._on_settled(stop)
        return self._on_restored(stop) if stop.at == "restored" else []

    def _on_linux_entry(self, stop: Stop) -> Findings:
        """The first instruction of a Linux, which reports nothing of it."""
        before = self._before
        if stop.at != "entry" or before is None or before.generation != stop.generation - 1:
            return []
        due = self._plan.due(stop.generation, "entry")
        if isinstance(before, Record):
            findings = self._by_rule(stop, before, due)
            findings += self._compare(stop, Before.of(before), temporal.PAGES_ACROSS_JUMP)
            nodes = Before.of(before, before.node_hashes)
            return findings + self._compare(stop, nodes, temporal.TRACKER_ACROSS_JUMP)
        if before.snapshot is None:
            return []
        findings = self._compare_full(stop, before, before.snapshot)
        if before.is_jump:  # all is serialized
            return findings
        try:
            return findings + self._static(stop, find_snapshot(stop.dump(None)))
        except NoHandover as error:
            return findings + [stop.finding(temporal.HANDOFF, str(error))]

    def _on_linux_sealed(self, stop: Stop, is_jump: bool) -> Findings:
        """Unless this is the jump, state serialized on the way down is not there yet."""
        snapshot: Snapshot | None = None
        findings: Findings = []
        if self._plan.takes_over(stop.generation + 1):
            try:
                snapshot = find_snapshot(stop.dump(None))
                count_handover(self._statistics, snapshot)
                findings = [*self._compare_run(stop), *self._static(stop, snapshot)]
            except NoHandover as error:
                what = f"no handover prepared: {error}"
                findings = [stop.finding(protocol.LINUX_REPORTS, what)]
        record = take_full_record(stop.generation, stop.at, stop.memory, snapshot)
        self._before = replace(record, is_jump=is_jump)
        self._arrived = None
        return findings

    def _compare_run(self, stop: Stop) -> Findings:
        """Memory written once by a Linux is unchanged since its user space started."""
        running, self._running = self._running, None
        if running is None or running.generation != stop.generation:
            return []
        return self._compare(stop, running, temporal.PAGES_HANDED_ON)

    def _on_linux_restored(self, stop: Stop) -> Findings:
        findings = self._compare_under_linux(stop) if self._booting_linux else []
        self._booting_linux = False
        if temporal.PAGES_HANDED_ON in self._plan.due(stop.generation, "sealed"):
            try:
                snapshot = find_snapshot(stop.dump(None))
            except NoHandover:
                return findings  # reported at `sealed` as not evaluated
            frames = pages_that_stay(snapshot, Span.LINUX_RUN)
            hashes = hash_pages(stop.memory, frames, snapshot.geometry)
            self._running = Before(stop.generation, stop.at, hashes, snapshot)
        return findings

    def _compare_under_linux(self, stop: Stop) -> Findings:
        """By now Linux has restored and freed its own state; the rest must be unchanged."""
        before = self._before
        if before is None or before.snapshot is None or not self._plan.takes_over(stop.generation):
            return []
        if isinstance(before, FullRecord):
            jump, boot = (
                pages_that_stay(before.snapshot, span, is_complete=before.is_jump)
                for span in (before.span, Span.LINUX_BOOT)
            )
            hashes = before.hashes.of(np.intersect1d(jump, boot, assume_unique=True))
        else:
            frames = pages_that_stay(before.snapshot, Span.LINUX_BOOT)
            hashes = before.hashes.among(frames)
        earlier = Before(before.generation, before.at, hashes, before.snapshot)
        return self._compare(stop, earlier, temporal.PAGES_UNDER_LINUX)

    def _on_entry(self, stop: Stop) -> Findings:
        stop.facts.devices = stop.devices
        findings = self._look_at_entry(stop)
        if self._plan.takes_over(stop.generation):
            self._restoring, self._names = self._arrived, read_handoff_bytes(stop)
        return findings

    def _look_at_entry(self, stop: Stop) -> Findings:
        before, self._arrived = self._before, None
        if before is None or before.generation != stop.generation - 1:
            return []
        if isinstance(before, FullRecord):
            return self._on_entry_from_linux(stop, before)
        self._arrived = before
        findings = self._by_rule(stop, before, self._plan.due(stop.generation, "entry"))
        findings += self._compare(stop, Before.of(before), temporal.PAGES_ACROSS_JUMP)
        nodes = Before.of(before, before.node_hashes)
        return findings + self._compare(stop, nodes, temporal.TRACKER_ACROSS_JUMP)

    def _on_entry_from_linux(self, stop: Stop, before: FullRecord) -> Findings:
        """Finds khorig's incoming handover by the boot protocol and compares it with memory before
        the jump."""
        taken = self._plan.takes_over(stop.generation)
        snapshot, findings = self._read(stop, None, "parameters")
        if snapshot is None:
            return findings if taken else []
        self._arrived = take_record(stop.generation, stop.at, snapshot)
        findings += self._compare_full(stop, before, snapshot)
        return findings + (self._static(stop, snapshot) if taken else [])

    def _on_restored(self, stop: Stop) -> Findings:
        self._restoring = None
        if self._arrived is None or not self._plan.takes_over(stop.generation):
            return []
        findings = self._compare(stop, Before.of(self._arrived), temporal.PAGES_UNTIL_RESTORED)
        due = self._plan.due(stop.generation, "restored")
        return findings + self._by_rule(stop, self._arrived, due)

    def _on_settled(self, stop: Stop) -> Findings:
        """Since `restored`, where it was compared, if the guest stopped there."""
        if self._arrived is None or not self._plan.takes_over(stop.generation):
            return []
        before = Before.of(self._arrived)
        if "restored" in self._spec.stops_of(stop.generation):
            before = replace(before, generation=stop.generation, at="restored")
        return self._compare(stop, before, temporal.SETTLED)

    def _on_sealed(self, stop: Stop) -> Findings:
        """Decodes, hashes and checks the sealed handover."""
        before, arrived = self._before, self._arrived
        self._before = self._arrived = None
        if stop.facts.memory is None:
            return stop.no_event(protocol.SEGMENTS, "memory")
        snapshot, findings = self._read(stop, stop.event.address("root"), "root")
        if snapshot is None:
            return findings
        sealed = take_record(stop.generation, stop.at, snapshot)
        self._before = sealed
        due = self._plan.due(stop.generation, "sealed")
        if protocol.SCENARIO in due:
            self._evaluated.add(protocol.SCENARIO, stop.generation, stop.at)
        scenario = scenario_rule(self._spec)(stop, sealed) if protocol.SCENARIO in due else []
        findings += [*scenario, *self._static(stop, snapshot)]
        findings += self._by_rule(stop, sealed, due)
        if protocol.RAM_USED in due:
            self._evaluated.add(protocol.RAM_USED, stop.generation, stop.at)
            findings += check_ram(stop)
        if temporal.PAGES_HANDED_ON in due and isinstance(before, Record):
            findings += self._compare_handed_on(stop, before, sealed)
        if temporal.PAGES_RELAYED in due and arrived is not None:
            findings += self._compare_relayed(stop, arrived, sealed)
        return findings


def _firmware_tables() -> FirmwareTables:
    from khorig.rules.temporal.firmware_tables import FirmwareTables  # most runs have none

    return FirmwareTables()
