# SPDX-License-Identifier: BSD-3-Clause
"""The verdict over a run whose last kernel is a crash kernel."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Sequence

from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.kho.snapshot import NoHandover, find_snapshot
from khorig.mem.memory import PhysRange
from khorig.rules.protocol.crash_headers import check_headers
from khorig.rules.protocol.definitions import CRASH_HEADERS
from khorig.rules.stop import Stop
from khorig.rules.temporal.crash_memory import CrashMemory
from khorig.rules.temporal.definitions import CRASH_MEMORY
from khorig.rules.temporal.record import FullRecord
from khorig.run.examination import Findings
from khorig.run.judge import RunJudge
from khorig.run.judging import Witness

_PAGE_SIZE = 4096
_MOST = 256  # areas of a kind


class CrashJudge(RunJudge):
    """As RunJudge. The crash kernel is given no handover: what it must not touch is all of memory
    but its own."""

    def __init__(self, spec: RunSpec, witnesses: Sequence[Witness] = ()) -> None:
        super().__init__(spec, witnesses)
        self._own: tuple[PhysRange, ...] = ()  # memory of the crash kernel
        self._ram: tuple[PhysRange, ...] = ()  # of the kernel that dies
        self._headers: int | None = None
        self._dead: CrashMemory | None = None

    def on_event(self, event: GuestEvent) -> Findings:
        """See khorig.run.judging.Judge. Raises EventFieldError."""
        if event.kind == "crash-memory":
            self._own = (*self._own, _area_of(event))[:_MOST]
        elif event.kind == "system-ram":
            self._ram = (*self._ram, _area_of(event))[:_MOST]
        elif event.kind == "vmcore":
            self._headers = event.address("headers")
        return super().on_event(event)

    def _check(self, stop: Stop, is_jump: bool) -> Findings:
        crash_kernel = self._spec.crash_kernel
        if stop.generation == crash_kernel:
            return self._check_crash_kernel(stop)
        findings = super()._check(stop, is_jump)
        if stop.at == "sealed" and stop.generation + 1 == crash_kernel:
            with contextlib.suppress(NoHandover):  # it names owners, and is not handed over
                if isinstance(self._before, FullRecord):
                    snapshot = find_snapshot(stop.dump(None))
                    self._before = replace(self._before, snapshot=snapshot)
        return findings

    def _check_crash_kernel(self, stop: Stop) -> Findings:
        if stop.at == "entry":
            self._dead = CrashMemory.of(stop)
        if stop.at != "restored":
            return []
        findings: Findings = []
        if self._dead is not None:
            snapshot = self._before.snapshot if self._before else None
            changed, pages = self._dead.compare(stop, self._own, self._ram, snapshot)
            findings += changed
            self._evaluated.add(CRASH_MEMORY, stop.generation, stop.at)
            self._statistics.pages_compared += pages
            self._coverage.add(self._dead.generation, pages, _PAGE_SIZE)
        self._evaluated.add(CRASH_HEADERS, stop.generation, stop.at)
        if self._headers is None:
            return findings + stop.no_event(CRASH_HEADERS, "vmcore")
        return findings + check_headers(stop, self._headers, self._own, self._ram)


def _area_of(event: GuestEvent) -> PhysRange:
    return PhysRange(event.address("start"), event.number("size"))
