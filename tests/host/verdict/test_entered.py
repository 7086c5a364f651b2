# SPDX-License-Identifier: BSD-3-Clause
"""Registers that a kernel is entered with, and that are none of the boot protocol's."""

from __future__ import annotations

import dataclasses

import pytest
from verdict.fake_guest import FakeGuest, first, sealed_guest, stop_of

from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.entered import _wrong_arm, check_level
from khorig.vm.machines import machine_named


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


_RIGHT = (0x48000000, 0, 0, 0, 0x3C0, 1 << 2, 0x30D00800, 0)


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [
        (1, 1, ["x1 is 0x1, expected 0"]),
        (3, 9, ["x3 is 0x9, expected 0"]),
        (4, 0, ["DAIF is 0x0, expected 0x3c0: all masked"]),
        (5, 2 << 2, []),
        (5, 0, ["the kernel did not record its entry"]),
        (6, 0x30D00805, ["SCTLR is 0x30d00805, with M and C set"]),
        (7, 0x80000030, []),
        (7, 0x4_8800_0030, ["HCR_EL2 is 0x488000030, with E2H set"]),
        (0, 0, []),
    ],
)
def test_what_an_arm_machine_is_entered_with(at: int, value: int, what: list[str]) -> None:
    words = (*_RIGHT[:at], value, *_RIGHT[at + 1 :])
    assert list(_wrong_arm(words)) == what


@pytest.mark.parametrize(
    ("level", "before", "what"),
    [
        (1, 1, None),
        (2, 2, None),
        (1, 2, "entered at EL1, the predecessor at EL2"),
        (None, 2, "entered at nothing, the predecessor at EL2"),
        (2, None, "entered at EL2, the predecessor at nothing"),
        (None, None, "QEMU shows no exception level"),
    ],
)
def test_the_level_is_handed_on(level: int | None, before: int | None, what: str | None) -> None:
    guest = sealed_guest()
    stop = stop_of(guest.image.memory, guest.spec, 2, "entry")
    found = check_level(dataclasses.replace(stop, level=level, level_before=before))
    assert [(f.rule, f.what) for f in found] == ([(protocol.LEVEL, what)] if what else [])


def test_levels_are_those_that_qemu_shows() -> None:
    machine = machine_named("virt")
    assert machine.has_levels and not machine_named("q35").has_levels
    assert machine.level(" PC=1\nPSTATE=600003c9 -ZC- EL2h\nCPU#1\nPSTATE=3c5 EL1h") == 2
    assert machine.level("PSTATE=404003c5 -Z-- EL1h") == 1
    assert machine.level("PSTATE=xyz") is machine.level("") is None
