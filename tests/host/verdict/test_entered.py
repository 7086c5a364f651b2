# SPDX-License-Identifier: BSD-3-Clause
"""Registers that a kernel is entered with, and that are none of the boot protocol's."""

from __future__ import annotations

import pytest
from verdict.fake_guest import FakeGuest, first, sealed_guest

from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.entered import _wrong_arm


def entered_with(at: int, value: int) -> FakeGuest:
    """A guest whose second kernel is entered with that register of the record."""
    guest = sealed_guest()
    assert guest.first_generation() == []
    guest.registers[at] = value
    return guest


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [
        (0, 0x402, "RFLAGS is 0x402, with DF set"),
        (0, 0x202, "RFLAGS is 0x202, with IF set"),
        (0, 0x40102, "RFLAGS is 0x40102, with TF and AC set"),
        (0, 0, "the kernel did not record its entry"),
        (1, 0x80010033, "CR0 is 0x80010033, expected no bit but those of 0x80000031"),
        (2, 0x2000A0, "CR4 is 0x2000a0, expected no bit but those of 0x1020"),
        (3, 0x1500, "EFER is 0x1500, expected no bit but those of 0xd01"),
    ],
)
def test_what_a_pc_is_entered_with(at: int, value: int, what: str) -> None:
    found = first(entered_with(at, value).enters(), protocol.ENTERED, None, "CPU 0")
    assert (found.what, found.generation, found.stop) == (what, 2, "entry")


def test_five_levels_and_what_linux_leaves_on() -> None:
    guest = entered_with(2, 0x1020)
    guest.registers[3] = 0xD01
    assert guest.enters() == []


_RIGHT = (0x48000000, 0, 0, 0, 0x3C0, 1 << 2, 0x30D00800)


@pytest.mark.parametrize(
    ("at", "value", "level", "what"),
    [
        (1, 1, 1, ["x1 is 0x1, expected 0"]),
        (3, 9, 1, ["x3 is 0x9, expected 0"]),
        (4, 0, 1, ["DAIF is 0x0, expected 0x3c0: all masked"]),
        (5, 1 << 2, 2, ["entered at EL1, expected EL2"]),
        (5, 2 << 2, 2, []),
        (5, 0, 1, ["the kernel did not record its entry"]),
        (6, 0x30D00805, 1, ["SCTLR is 0x30d00805, with M and C set"]),
        (0, 0, 1, []),
    ],
)
def test_what_an_arm_machine_is_entered_with(
    at: int, value: int, level: int, what: list[str]
) -> None:
    words = (*_RIGHT[:at], value, *_RIGHT[at + 1 :])
    assert list(_wrong_arm(words, level)) == what
