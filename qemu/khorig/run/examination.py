# SPDX-License-Identifier: BSD-3-Clause
"""Evaluates rules at a stop and remembers which."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Iterable

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.pci_config import PciLooks
from khorig.guest.spec import RunSpec
from khorig.kho.snapshot import NoHandover, Snapshot, snapshot_of_stop
from khorig.mem.errors import DecodeError
from khorig.rules.check import check
from khorig.rules.evaluated import Evaluated
from khorig.rules.finding import Finding
from khorig.rules.outcome import Status
from khorig.rules.plan import Plan
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.at_stops import STOP_RULES
from khorig.rules.protocol.entered import check_level
from khorig.rules.protocol.memfds import SealedMemfds
from khorig.rules.registry import rule_of
from khorig.rules.stop import Stop
from khorig.rules.temporal import definitions as temporal
from khorig.rules.temporal.keeping import Span, pages_that_stay
from khorig.rules.temporal.memory_maps import MemoryMaps
from khorig.rules.temporal.pages import Before, compare_pages
from khorig.rules.temporal.record import FullRecord, Record
from khorig.rules.temporal.relayed import RELAYED, relayed_pages
from khorig.run.coverage import Coverage
from khorig.run.judging import Statistics
from khorig.run.proven import count_handover

if TYPE_CHECKING:
    from khorig.rules.temporal.given import Given
    from khorig.rules.temporal.poison import Poison

_MOST = 6  # findings of a rule
# Warnings that are failures if every client is known.
_STRICT = ("KHR-I070",)

Findings = list[Finding]


class Examination:
    """What a judge does at every stop, whichever kernel waits there."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._plan = Plan(spec)
        self._evaluated = Evaluated()
        self._coverage = Coverage()
        self._statistics = Statistics()
        self._memfds = SealedMemfds()
        self._maps = MemoryMaps()
        self._given: Given | None = None
        self._poison: Poison | None = None

    def _check_given(self, stop: Stop) -> Findings:
        """What kernels are given by their boot parameters."""
        if self._given is None:
            from khorig.rules.temporal.given import Given  # not before a guest runs

            self._given = Given()
        return self._given.check(stop)

    def _check_poison(self, stop: Stop, snapshot: Snapshot | None) -> Findings:
        """Pages that a Linux took out of use."""
        if isinstance(self._spec, KhorigRun):
            return []
        if self._poison is None:
            from khorig.rules.temporal.poison import Poison

            self._poison = Poison()
        return self._poison.check(stop, snapshot)

    def _read(self, stop: Stop, root: int | None, owner: str) -> tuple[Snapshot | None, Findings]:
        """The handover at `root`, or at the root in the boot parameters."""
        try:
            snapshot = snapshot_of_stop(stop.dump(root))
        except NoHandover as error:
            return None, [stop.finding(temporal.HANDOFF, str(error), owner=owner)]
        except DecodeError as error:
            rule = rule_of(replace(error.problem, subject="root")).id
            return None, [stop.finding_of(rule, error.problem, owner)]
        count_handover(self._statistics, snapshot)
        return snapshot, []

    def _static(self, stop: Stop, snapshot: Snapshot) -> Findings:
        """Findings of the static rules, at most 6 per rule, and of what a Linux says it seals."""
        is_own = isinstance(self._spec, KhorigRun)
        findings: Findings = []
        for outcome in check(snapshot):
            if outcome.status is Status.ABSENT:
                continue
            rule = outcome.rule.id
            self._evaluated.add(rule, stop.generation, stop.at)
            strict = is_own and rule in _STRICT
            if outcome.status is Status.FAILED or (strict and outcome.violations):
                findings += [
                    stop.finding(rule, violation.text, violation.address, violation.owner)
                    for violation in outcome.violations[:_MOST]
                ]
        return findings + self._memfds.check(stop, snapshot)

    def _check_pci(self, stop: Stop, looks: PciLooks | None, snapshot: Snapshot | None) -> Findings:
        """Only of a kernel that preserves PCI devices."""
        if snapshot is None or looks is None or looks.before is None:
            return []
        from khorig.rules.protocol.pci_preserved import check_pci, preserved_devices

        if not (names := preserved_devices(snapshot)):
            return []
        self._evaluated.add(protocol.PCI_PRESERVED, stop.generation, stop.at)
        return check_pci(stop, looks, names)

    def _check_more(self, stop: Stop) -> Findings:
        """Rules that need no handover."""
        looks = {protocol.LEVEL: check_level, temporal.RAM_OF_COLD_BOOT: self._maps.check}
        due = [rule for rule in self._plan.due(stop.generation, stop.at) if rule in looks]
        for rule in due:
            self._evaluated.add(rule, stop.generation, stop.at)
        return [finding for rule in due for finding in looks[rule](stop)]

    def _by_rule(self, stop: Stop, record: Record, due: Iterable[str]) -> Findings:
        findings: Findings = []
        for rule in due:
            if rule in STOP_RULES:
                findings += STOP_RULES[rule](stop, record)
                self._evaluated.add(rule, stop.generation, stop.at)
        return findings

    def _compare(self, stop: Stop, before: Before, rule: str) -> Findings:
        pages = len(before.hashes.frames)
        self._evaluated.add(rule, stop.generation, stop.at)
        self._statistics.pages_compared += pages
        if before.generation == stop.generation - 1:
            self._coverage.add(before.generation, pages, before.snapshot.geometry.page_size)
        return compare_pages(stop, before, rule)

    def _compare_full(self, stop: Stop, before: FullRecord, snapshot: Snapshot) -> Findings:
        """Across the jump of a Linux: what `snapshot` preserves, by the record of all memory."""
        complete = before.is_jump or snapshot is not before.snapshot
        findings: Findings = []
        for rule, frames in (
            (temporal.TRACKER_ACROSS_JUMP, snapshot.node_frames),
            (temporal.PAGES_ACROSS_JUMP, pages_that_stay(snapshot, before.span, complete)),
        ):
            hashes = before.hashes.of(frames)
            earlier = Before(before.generation, before.at, hashes, snapshot)
            findings += self._compare(stop, earlier, rule)
        return findings

    def _compare_handed_on(self, stop: Stop, before: Record, sealed: Record) -> Findings:
        frames = pages_that_stay(before.snapshot, Span.GENERATION)
        still = pages_that_stay(sealed.snapshot, Span.GENERATION)
        was, now = before.hashes.among(frames).among(still), sealed.hashes
        self._evaluated.add(temporal.PAGES_HANDED_ON, stop.generation, stop.at)
        if not len(was.differing(now.among(was.frames))):
            return []
        return compare_pages(stop, Before.of(before, was), temporal.PAGES_HANDED_ON)

    def _compare_relayed(self, stop: Stop, arrived: Record, sealed: Record) -> Findings:
        findings: Findings = []
        for rule, look in RELAYED.items():
            findings += look(stop, arrived, sealed)
            self._evaluated.add(rule, stop.generation, stop.at)
        kept = Before.of(arrived, relayed_pages(arrived, sealed))
        return findings + self._compare(stop, kept, temporal.PAGES_RELAYED)
