# SPDX-License-Identifier: BSD-3-Clause
"""Linuxes that panic, and their crash kernels."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.guest.poke import Poke
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.temporal import definitions as temporal


@each_arch
def test_a_crash_kernel_finds_the_kernel_that_died(rig: Rig, machine: str) -> None:
    result = rig.run(machine, kernels=("linux-7.2", "linux-7.3"), crash=1, smp=2)
    result.expect_pass()
    [seen] = result.events("vmcore")
    assert seen["cpus"] == 2 and seen["pages"] == 556 and seen["osrelease"].startswith("7.2")
    [jump] = result.statistics.jumps
    assert jump.pages > 2000, "memory of the dead kernel that was compared"


@each_arch
def test_a_kernel_that_was_given_a_handover_gives_none_to_its_crash_kernel(
    rig: Rig, machine: str
) -> None:
    """/chosen and the setup_data of the kernel that dies have one. It reserves memory for its crash
    kernel in scratch."""
    result = rig.run(
        machine,
        kernels=("khorig", "linux-7.3", "linux-7.3"),
        crash=2,
        extra_options=("kho_scratch=384M,32M,32M",),
        linux_options=("2:crashkernel=128M",),
    )
    result.expect_pass()


def test_a_page_that_the_crash_kernel_changes_is_named(rig: Rig) -> None:
    kernels = ("linux-7.3", "linux-7.3")
    result = rig.run(
        "q35", kernels=kernels, crash=1, pokes=(Poke(2, "entry", "memblock/reference"),)
    )
    rules = {finding.rule for finding in result.findings}
    assert result.verdict is Verdict.FAIL and temporal.CRASH_MEMORY in rules
    assert "pages of the dead kernel changed" in result.cause


@pytest.mark.parametrize("machine", ["q35"])
def test_a_crash_kernel_that_dies_is_its_own_death(rig: Rig, machine: str) -> None:
    options = ("2:rdinit=/nothing", "2:init=/nothing")
    result = rig.run(machine, kernels=("linux-7.3", "linux-7.3"), crash=1, linux_options=options)
    assert result.verdict is Verdict.CRASH and result.findings[0].generation == 2
    assert "Requested init /nothing failed" in result.cause


def test_runtime_services_of_firmware_are_no_harm_to_the_dead_kernel(rig: Rig) -> None:
    """The crash kernel calls them; their memory is not RAM of the kernel that died."""
    rig.run("virt", kernels=("linux-7.3", "linux-7.3"), crash=1, boot="uefi").expect_pass()
