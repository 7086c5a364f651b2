# SPDX-License-Identifier: BSD-3-Clause
"""Carries out the pokes of a run."""

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
    """Flips what a run's specification says, each at its stop. A poke that cannot be done fails the
    run: what has not been damaged proves nothing."""

    def __init__(self, pokes: Sequence[Poke]) -> None:
        self._waiting = list(pokes)
        self._sights = Sights()

    def on_event(self, event: GuestEvent) -> None:
        """Takes in what the guest says of its memory."""
        if self._waiting:
            self._sights.on_event(event)

    def on_stop(self, context: StopContext) -> tuple[list[Poked], list[Finding]]:
        """Pokes what is due at this stop, and names what could not be poked."""
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
        """One finding for each poke whose stop never came."""
        return [
            Finding(
                POKED,
                f"{poke} was not done: generation {poke.generation} never stopped at '{poke.stop}'",
                generation=poke.generation,
            )
            for poke in self._waiting
        ]


def _flip(poke: Poke, context: StopContext, places: Sequence[Place]) -> Poked | str:
    """What was done, or why nothing was."""
    if isinstance(poke.place, str):
        address = find_place(places, poke.place, poke.offset)
        if address is None:
            return f"{poke} was not done: {_why_not(places, poke.place)}"
    else:
        address = poke.place + poke.offset
    try:
        before = context.ram.read(address, 1)[0]
    except OutsideGuestRam:
        return f"{poke} was not done: {address:#018x} is not RAM"
    context.ram.write(address, bytes([before ^ _BIT]))
    owner = owner_at(places, address)
    return Poked(str(poke), f"{address:#018x}", owner, before, before ^ _BIT)


def _why_not(places: Sequence[Place], owner: str) -> str:
    if not places:
        return "there is no handover at this stop"
    if find_place(places, owner, 0) is not None:
        return f"the memory of '{owner}' ends before that"
    return f"nothing here belongs to '{owner}'"
