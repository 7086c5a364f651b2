# SPDX-License-Identifier: BSD-3-Clause
"""From a run without damage to one with: every attempt at `sealed` is found by the judge."""

from __future__ import annotations

from typing import Any, Sequence

import pytest
from verdict.fake_guest import PARAMETERS, FakeGuest, sealed_guest
from view.handover_image import RAM

from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import Statistics, StopContext
from khorig.run.poke.poker import Poker
from khorig.run.result import RunResult
from khorig.run.teeth.bite import Outcome, bite_of
from khorig.run.teeth.classes import CLASSES
from khorig.run.teeth.plan import Attempt, make_plan
from khorig.run.teeth.survey import Survey

CLASSES_HERE = {
    "root", "fragment", "node", "hand-off", "scratch-array", "record", "store", "store-chunk",
    "archive", "log", "ledger", "memblock",
}  # fmt: skip


def context(guest: FakeGuest, at: str, generation: int) -> StopContext:
    event = GuestEvent("stop", generation, 0, 0.0, {"at": at, **guest.stop_fields})
    boot = GuestEvent("boot", generation, 0, 0.0, {"parameters": hex(PARAMETERS)})
    machine = MachineFacts("x86_64", "q35", RAM.size)
    seen: dict[str, Any] = {"devices": guest.devices, "modes": guest.modes}
    return StopContext(generation, at, event, guest.image.ram, machine, boot, **seen)


def attempts_at_sealed() -> Sequence[Attempt]:
    """Those of a run in which everything is right."""
    guest = sealed_guest()
    survey = Survey(guest.judge)
    boot = GuestEvent("boot", 1, 0, 0.0, {"parameters": hex(PARAMETERS), "handover": False})
    assert survey.on_event(boot) == []
    guest.has_memory(1)
    guest.says("segments", 1, list=guest.segments, entry=guest.entry())
    assert survey.on_stop(context(guest, "sealed", 1)) == []
    guest.boots(2)
    assert survey.on_stop(context(guest, "entry", 2)) == []
    assert survey.statistics == guest.judge.statistics
    places = {(1, "sealed"): survey.places[1, "sealed"], (2, "entry"): survey.places[2, "entry"]}
    plan = make_plan(guest.spec, places, tuple(CLASSES))
    found: list[Attempt] = [a for a in plan.attempts if a.poke.stop == "sealed"]
    return found


ATTEMPTS = attempts_at_sealed()


def test_every_class_is_there() -> None:
    assert {attempt.owner_class for attempt in ATTEMPTS} == CLASSES_HERE


NOT_COPIED = ATTEMPTS


@pytest.mark.parametrize("attempt", NOT_COPIED, ids=[attempt.owner_class for attempt in NOT_COPIED])
def test_a_poke_at_sealed_is_found(attempt: Attempt) -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    done, findings = Poker(attempt.spec.pokes).on_stop(context(guest, "sealed", 1))
    assert findings == [] and len(done) == 1
    found: list[Finding] = guest.enters()
    verdict = Verdict.FAIL if found else Verdict.PASS
    result = RunResult(
        attempt.spec, verdict, found, 2, Statistics(), [], 0.1, "7.2.22", None, poked=done
    )
    assert bite_of(attempt, result).outcome is Outcome.CAUGHT, found
