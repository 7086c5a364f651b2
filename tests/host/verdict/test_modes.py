# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's levels of page tables and its protections are those that QEMU shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from verdict.fake_guest import FakeGuest, sealed_guest

from khorig.guest.machine import CpuMode, CpuModes
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.protocol import definitions as protocol
from khorig.run.judge import RunJudge

ALL = frozenset({"LA57", "SMEP", "SMAP", "UMIP", "PKE", "NXE"})
CPU = CpuMode(0, 0xFFFFFFFF80001000, 0x80010033, 0x701820, 0xD00)  # five levels, and all on
PARKED = CpuMode(2, 0xFFF0, 0x60000010, 0, 0)
RUNS_ON = CpuMode(3, 0x7E00018, 0x80010033, 0x20, 0xD00)


def guest_of(*options: str, levels: int = 5, modes: CpuModes = CpuModes((CPU,), ALL)) -> FakeGuest:
    guest = sealed_guest()
    guest.spec = KhorigRun("x86_64", "q35", generations=2, extra_options=options)
    guest.judge = RunJudge(guest.spec)
    guest.levels, guest.modes = levels, modes
    return guest


def found(guest: FakeGuest) -> list[tuple[str, str]]:
    """Owner and text of each finding at the stop `sealed`, all of which are of the rule."""
    findings = guest.first_generation()
    assert {finding.rule for finding in findings} <= {protocol.MODES}
    return [(finding.owner, finding.what) for finding in findings]


@pytest.mark.parametrize(
    "options, levels, cr4, has",
    [
        ((), 5, 0x701820, ALL),
        (("la57=off",), 4, 0x700820, ALL),
        (("la57=off", "la57=on,off"), 5, 0x701820, ALL),
        ((), 4, 0x20, frozenset({"NXE"})),
        ((), 4, 0x300020, frozenset({"NXE", "SMEP", "SMAP"})),
    ],
)
def test_a_kernel_that_runs_as_it_should(
    options: tuple[str, ...], levels: int, cr4: int, has: frozenset[str]
) -> None:
    modes = CpuModes((replace(CPU, cr4=cr4), PARKED, RUNS_ON), has)
    assert found(guest_of(*options, levels=levels, modes=modes)) == []


def test_the_list_goes_by_generation() -> None:
    guest = guest_of("la57=on,off")
    assert guest.first_generation() == []
    assert guest.enters() == []
    (finding,) = guest.restores()
    assert finding.rule == protocol.MODES
    assert finding.what == "kernel reports 5 levels of page tables, expected 4"


def test_levels_are_read_from_the_machine() -> None:
    modes = CpuModes((CPU, replace(CPU, number=1, cr4=0x700820)), ALL)
    assert found(guest_of(modes=modes)) == [
        ("CPU 1", "CR4 is 0x700820: 4 levels of page tables, the kernel reports 5")
    ]
    what = "kernel reports 4 levels of page tables, expected 5"
    modes = CpuModes((replace(CPU, cr4=0x700820),), ALL)
    assert found(guest_of(levels=4, modes=modes)) == [("", what)]


@pytest.mark.parametrize(
    "cpu, what",
    [
        (
            replace(CPU, cr4=0x401820),
            "CR4 is 0x401820, without SMEP and SMAP, which the CPU has",
        ),
        (replace(CPU, cr4=0x701020), "CR4 is 0x701020, without UMIP, which the CPU has"),
        (replace(CPU, cr4=0x301820), "CR4 is 0x301820, without PKE, which the CPU has"),
        (replace(CPU, cr0=0x80000033), "CR0 is 0x80000033, without WP"),
        (replace(CPU, efer=0x500), "EFER is 0x500, without NXE, which the CPU has"),
    ],
)
def test_what_is_off(cpu: CpuMode, what: str) -> None:
    assert found(guest_of(modes=CpuModes((cpu,), ALL))) == [("CPU 0", what)]


def test_registers_that_nobody_read() -> None:
    guest = guest_of(modes=CpuModes(unread="QmpError: no"))
    (finding,) = guest.first_generation()
    assert (finding.rule, finding.evidence) == (protocol.MODES, ("QmpError: no",))
    (finding,) = guest_of(modes=CpuModes()).first_generation()
    assert finding.what == "the CPUs' control registers were not read"
