# SPDX-License-Identifier: BSD-3-Clause
"""What a device writes after all is restored is found at the stop `settled`."""

from __future__ import annotations

import dataclasses

import pytest
from verdict.fake_guest import FakeGuest, block_of, sealed_guest

from khorig.guest.chain_run import ChainRun
from khorig.rules.finding import Finding
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal
from khorig.run.judge import RunJudge


def guest_with(*stops: str) -> FakeGuest:
    guest = sealed_guest()
    guest.spec = dataclasses.replace(guest.spec, stops=stops)
    guest.judge = RunJudge(guest.spec)
    return guest


def restored(guest: FakeGuest) -> FakeGuest:
    """The second generation, which has restored all."""
    assert guest.first_generation() == []
    if "entry" in guest.spec.stops:
        assert guest.enters() == []
    else:
        guest.boots(2)
    if "restored" in guest.spec.stops:
        assert guest.restores() == []
    else:
        guest.has_memory(2)
        guest.says("restored", 2, **guest.restored_fields)
    return guest


def writes(guest: FakeGuest) -> int:
    """A device's write to a preserved page."""
    page = block_of(guest, 2)
    guest.image.ram.write(page + 0x100, b"by nobody")
    return page


def settles(guest: FakeGuest) -> list[Finding]:
    return guest.stops("settled", 2)


STOPS = [
    ("sealed", "entry", "restored", "settled"),
    ("sealed", "restored", "settled"),
    ("sealed", "entry", "settled"),
    ("sealed", "settled"),
]


@pytest.mark.parametrize("stops", STOPS)
def test_a_page_that_changes_in_the_window_is_found(stops: tuple[str, ...]) -> None:
    assert settles(restored(guest_with(*stops))) == []
    guest = restored(guest_with(*stops))
    page = writes(guest)
    (found,) = settles(guest)
    assert (found.rule, found.where) == (temporal.SETTLED, f"{page:#018x}")
    since = (2, "restored") if "restored" in stops else (1, "sealed")
    assert found.changed is not None
    assert (found.changed.generation, found.changed.stop) == since


def test_without_entry_the_jump_is_compared_at_restored() -> None:
    guest = guest_with("sealed", "restored")
    assert guest.first_generation() == []
    guest.boots(2)
    page = writes(guest)
    guest.has_memory(2)
    guest.says("restored", 2, **guest.restored_fields)
    found = guest.stops("restored", 2)
    assert (found[0].rule, found[0].where) == (temporal.PAGES_UNTIL_RESTORED, f"{page:#018x}")


def test_a_window_that_was_not_looked_at_is_missed() -> None:
    guest = restored(guest_with(*STOPS[0]))
    missing = [found for found in guest.judge.finish(33) if found.rule == protocol.EVALUATED]
    assert [(found.stop, temporal.SETTLED in found.what) for found in missing] == [
        ("settled", True)
    ]


def test_a_linux_has_no_window() -> None:
    stops = ("sealed", "entry", "restored", "settled")
    kernels = ("khorig", "linux-7.3", "khorig")
    spec = ChainRun("x86_64", "q35", kernels=kernels, stops=stops)
    assert spec.stops_of(2) == ("sealed", "restored") and spec.stops_of(3) == stops
    assert "settled" not in spec.command_line(2) and "settled" in spec.command_line(3)
    probed = dataclasses.replace(spec, probed=True)
    assert probed.stops_of(2) == ("sealed", "entry", "restored")
