# SPDX-License-Identifier: BSD-3-Clause
"""Records the places to poke in an unmodified run."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts
from khorig.mem.guest_ram import GuestRam
from khorig.rules.finding import Finding
from khorig.run.judging import Judge, Statistics, StopContext
from khorig.run.poke.place import Place
from khorig.run.poke.sights import Sights


class Survey:
    """Wraps a Judge (khorig.run.judging.Judge) and records owned memory at each stop."""

    def __init__(self, judge: Judge) -> None:
        self.places: dict[tuple[int, str], Sequence[Place]] = {}  # by generation and stop
        self._judge = judge
        self._sights = Sights()

    @property
    def statistics(self) -> Statistics:
        """See Judge."""
        return self._judge.statistics

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """See Judge."""
        return self._judge.picture

    @property
    def counters(self) -> Mapping[str, int]:
        """See Judge."""
        return self._judge.counters

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """See Judge."""
        self._sights.on_event(event)
        return self._judge.on_event(event)

    def on_stop(self, context: StopContext) -> list[Finding]:
        """See Judge."""
        self.places[context.generation, context.at] = self._sights.at(context)
        return self._judge.on_stop(context)

    def on_tampered(self, context: StopContext) -> None:
        """See Judge."""
        self._judge.on_tampered(context)

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> list[Finding]:
        """See Judge."""
        return self._judge.on_trouble(ram, machine)

    def finish(self, exit_status: int | None) -> list[Finding]:
        """See Judge."""
        return self._judge.finish(exit_status)
