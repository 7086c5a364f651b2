# SPDX-License-Identifier: BSD-3-Clause
"""Every scenario, however the first kernel is started, with one CPU and with several."""

from __future__ import annotations

import pytest
from firmware_guest import FirmwareGuest

from khorig.guest.khorig_run import KhorigRun
from khorig.pytest_plugin import each_arch
from khorig.run.scenarios import read_scenarios
from khorig.run.tamper.runs import tamper_hooks, tampered
from khorig.vm.build_outputs import find_elf
from khorig.vm.machines import machine_named

_PASSING = ("handover", "recursion", "chain", "churn", "storm", "live-dma")
# Needs other kernels, which QEMU starts: tests/linux. Takes more than one CPU:
# tests/e2e/test_live_cpu.py.
_ELSEWHERE = ("relay", "live-cpu")


@each_arch
def test_no_scenario_is_left_out(machine: str) -> None:
    known = read_scenarios(find_elf(machine_named(machine).arch))
    assert sorted(scenario.name for scenario in known) == sorted((*_PASSING, "refuse", *_ELSEWHERE))


@pytest.mark.parametrize("boot", ["direct", "uefi"])
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("scenario", _PASSING)
@each_arch
def test_hands_over(
    guest: FirmwareGuest, machine: str, scenario: str, cpus: int, boot: str
) -> None:
    guest.run(machine, scenario=scenario, smp=cpus, boot=boot).expect_pass()


@pytest.mark.parametrize("boot", ["direct", "uefi"])
@pytest.mark.parametrize("cpus", [1, 4])
@each_arch
def test_refuses(guest: FirmwareGuest, machine: str, cpus: int, boot: str) -> None:
    arch = machine_named(machine).arch
    spec = tampered(KhorigRun(arch, machine, scenario="refuse"), "node-to-itself")
    result = guest.run(
        machine,
        hooks=tamper_hooks(spec),
        scenario="refuse",
        smp=cpus,
        boot=boot,
        generations=spec.generations,
        tamper=spec.tamper,
        expected_refusals=spec.expected_refusals,
    )
    result.expect_pass()
