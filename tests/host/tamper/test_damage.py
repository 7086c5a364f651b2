# SPDX-License-Identifier: BSD-3-Clause
"""A damage is done once, at its stop, before or after the judge looks; and a bug counts as found
only as the catalogue says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from verdict.fake_guest import PARAMETERS, FakeGuest, sealed_guest
from view.handover_image import PAGE, RAM

from khorig.api.made_bug import MadeBug
from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts
from khorig.rules.bug import Bug, State
from khorig.rules.finding import Finding, Verdict
from khorig.rules.way import Way
from khorig.run.damage.damage import Damage
from khorig.run.damage.damaging_judge import DamagingJudge, target_at
from khorig.run.judging import StopContext
from khorig.run.tamper.target import Target


def context(guest: FakeGuest, at: str, generation: int) -> StopContext:
    event = GuestEvent("stop", generation, 0, 0.0, {"at": at, "root": hex(guest.image.root)})
    machine = MachineFacts("x86_64", "q35", RAM.size)
    boot = GuestEvent("boot", generation, 0, 0.0, {"parameters": hex(PARAMETERS)})
    return StopContext(generation, at, event, guest.image.ram, machine, boot)


class Looker:
    """A judge that notes the first bytes of the root at each stop."""

    def __init__(self, guest: FakeGuest) -> None:
        self.seen: list[bytes] = []
        self._guest = guest

    def on_stop(self, context: StopContext) -> list[Finding]:
        self.seen.append(self._guest.image.ram.read(self._guest.image.root, 4))
        return []


def scribble(target: Target) -> str:
    target.ram.write(target.handover.root.address, b"gone")
    return "root overwritten"


@pytest.mark.parametrize("seen", [False, True])
def test_a_damage_is_done_at_its_stop(seen: bool) -> None:
    guest = sealed_guest()
    whole = guest.image.ram.read(guest.image.root, 4)
    looker: Any = Looker(guest)
    judge = DamagingJudge(looker, Damage("d", "w", scribble, seen=seen))
    for at, generation in (("entry", 1), ("sealed", 1), ("entry", 2)):
        judge.on_stop(context(guest, at, generation))
    assert looker.seen == [whole, b"gone" if seen else whole, b"gone"]
    assert judge.lines == ["root overwritten"]


def test_spare_pages_of_a_sealed_handover_are_free() -> None:
    """They lie far from blocks: a kernel that still runs may use what is between those."""
    guest = sealed_guest()
    target = target_at(context(guest, "sealed", 1))
    spare = [page for page, _ in zip(target.spare_pages(), range(64))]
    used = [block for block, _ in guest.image.blocks] + list(guest.image.nodes)
    assert len(set(spare)) == 64 and all(page % PAGE == 0 for page in spare)
    assert not set(spare) & set(used)
    assert not any(area.overlaps(page, PAGE) for page in spare for area in target.scratch)


WAY = Way(machines=("q35",), rule="KHR-I024", generation=1)
FOUND = Finding("KHR-I024", "what", generation=1)


def made(control: Verdict, defective: Verdict, *findings: Finding) -> MadeBug:
    bug = Bug("R4", "w", "f", State.FOUND, "", (WAY,))
    runs: list[Any] = [
        SimpleNamespace(verdict=verdict, cause="because", findings=list(found))
        for verdict, found in ((control, ()), (defective, findings))
    ]
    return MadeBug(bug, WAY, "q35", runs[0], runs[1] if control is Verdict.PASS else None, "")


def test_a_bug_that_is_found() -> None:
    other = Finding("KHR-I005", "later", generation=2)
    assert made(Verdict.PASS, Verdict.FAIL, FOUND, other).is_found


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (made(Verdict.FAIL, Verdict.FAIL, FOUND), "the control did not pass: FAIL because"),
        (made(Verdict.PASS, Verdict.PASS), "verdict PASS, expected FAIL"),
        (made(Verdict.PASS, Verdict.HANG, FOUND), "verdict HANG, expected FAIL"),
        (made(Verdict.PASS, Verdict.FAIL), "no finding"),
        (
            made(Verdict.PASS, Verdict.FAIL, Finding("KHR-I005", "other", generation=1), FOUND),
            "found by KHR-I005, expected KHR-I024: other",
        ),
        (
            made(Verdict.PASS, Verdict.FAIL, Finding("KHR-I024", "late", generation=2)),
            "found in generation 2, expected 1: late",
        ),
    ],
)
def test_a_bug_that_is_not(result: MadeBug, why: str) -> None:
    assert not result.is_found
    assert why in result.why_not
