# SPDX-License-Identifier: BSD-3-Clause
"""A guest's time is what it could run in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from khorig.run.guest_clock import GuestClock


@pytest.fixture
def wall() -> SimpleNamespace:
    """The wall's time, which the test sets."""
    return SimpleNamespace(now=100.0)


def test_what_the_host_takes_at_every_stop_is_not_the_guests(wall: SimpleNamespace) -> None:
    clock = GuestClock(10.0, lambda: float(wall.now))
    wall.now += 7.0  # until QEMU is there
    clock.start()
    assert clock.left_s == 10.0
    for host_s, guest_s in ((30.0, 1.0), (0.5, 2.0), (100.0, 3.0)):
        with clock.host():
            wall.now += host_s
        wall.now += guest_s
    assert clock.left_s == pytest.approx(4.0)
    assert clock.host_s == pytest.approx(130.5)
    wall.now += 4.5
    assert clock.left_s < 0


def test_a_stop_at_which_the_host_fails_counts_as_the_hosts(wall: SimpleNamespace) -> None:
    clock = GuestClock(10.0, lambda: float(wall.now))
    with pytest.raises(ValueError), clock.host():
        wall.now += 5.0
        raise ValueError
    assert clock.left_s == 10.0
