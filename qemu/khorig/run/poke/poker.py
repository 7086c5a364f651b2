# SPDX-License-Identifier: BSD-3-Clause
"""Applies the pokes of a run."""

from __future__ import annotations

from typing import Sequence

from khorig.guest.event import GuestEvent
from khorig.guest.poke import Poke
from khorig.guest.poked import Poked
from khorig.mem.guest_ram import OutsideGuestRam
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import POKED
from khorig.run.judging import StopContext
from khorig.run.poke.place import Place, find_place, owner_at
from khorig.run.poke.sights import Sights

_BIT = 1


class Poker:
    """Applies each poke of a run's specification at its stop. A poke that cannot be applied fails
    the run."""

    def __init__(self, pokes: Sequence[Poke]) -> None:
        self._waiting = list(pokes)
        self._sights = Sights()

    def on_event(self, event: GuestEvent) -> None:
        """Processes events about the guest's memory."""
        if self._waiting:
            self._sights.on_event(event)

    def on_stop(self, context: StopContext) -> tuple[list[Poked], list[Finding]]:
        """Applies the pokes of this stop; a finding for each that failed."""
        if not self._waiting:
            return [], []
        places = self._sights.at(context)
        due = [
            p for p in self._waiting if (p.generation, p.stop) == (context.generation, context.at)
        ]
        done: list[Poked] = []
        findings: list[Finding] = []
        for poke in due:
            self._waiting.remove(poke)
            result = _flip(poke, context, places)
            if isinstance(result, Poked):
                done.append(result)
            else:
                findings.append(Finding(POKED, result, generation=poke.generation, stop=poke.stop))
        return done, findings

    def finish(self) -> list[Finding]:
        """One finding for each poke whose stop was not reached."""
        return [
            Finding(
                POKED,
                f"poke {poke} not applied: "
                f"generation {poke.generation} did not stop at '{poke.stop}'",
                generation=poke.generation,
            )
            for poke in self._waiting
        ]


def _flip(poke: Poke, context: StopContext, places: Sequence[Place]) -> Poked | str:
    """The applied poke, or why it failed."""
    if isinstance(poke.place, str):
        address = find_place(places, poke.place, poke.offset)
        if address is None:
            return f"poke {poke} not applied: {_why_not(places, poke.place)}"
    else:
        address = poke.place + poke.offset
    try:
        before = context.ram.read(address, 1)[0]
    except OutsideGuestRam:
        return f"poke {poke} not applied: {address:#018x} is not RAM"
    context.ram.write(address, bytes([before ^ _BIT]))
    owner = owner_at(places, address)
    return Poked(str(poke), f"{address:#018x}", owner, before, before ^ _BIT)


def _why_not(places: Sequence[Place], owner: str) -> str:
    if not places:
        return "no handover at this stop"
    if find_place(places, owner, 0) is not None:
        return f"offset is beyond the memory of '{owner}'"
    return f"no owner '{owner}' at this stop"
