# SPDX-License-Identifier: BSD-3-Clause
"""Levels of page tables and protections on x86_64. The axes x86-levels, x86-cpu and x86-protections
have more machines and CPUs."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.rules.finding import Verdict

SMALL = "megabytes=8"
GIB = 1 << 30


def levels(result: RigResult) -> list[int]:
    """As the kernels report them; rule KHR-I128 has compared CR4."""
    return [event["levels"] for event in result.events("mode")]


def test_four_cpus_change_at_every_jump(rig: Rig) -> None:
    """And all of them are in the same mode, wherever the image lies."""
    scratch = "kho_scratch=8M,8000M,4M"
    options = ("la57=off,on", SMALL, scratch)
    result = rig.run("q35", "handover", smp=4, memory=12 * GIB, extra_options=options)
    result.expect_pass()
    assert levels(result) == [4, 5, 4]
    images = [int(event["image"][0], 16) for event in result.events("boot")]
    assert any(image >= 4 * GIB for image in images), images


def test_firmware_hands_on_four_levels(rig: Rig) -> None:
    result = rig.run("q35", "handover", boot="uefi", extra_options=("la57=on,off", SMALL))
    result.expect_pass()
    assert levels(result) == [5, 4, 5]


def test_five_levels_on_a_cpu_without(rig: Rig) -> None:
    cpu = ("-cpu", "qemu64")
    options = ("la57=on",)
    result = rig.run("q35", "chain", extra_qemu=cpu, extra_options=options, expected_status=41)
    (error,) = result.events("error")
    assert (error["cause"], error["text"]) == ("la57", "'on': this CPU has no five-level paging")


@pytest.mark.parametrize("fault, what", [("smep-left-off", "CR4"), ("wp-left-off", "CR0")])
def test_what_is_left_off(rig: Rig, fault: str, what: str) -> None:
    result = rig.run("q35", "chain", fault=fault, record=False)
    found = result.findings[0]
    assert (result.verdict, found.rule) == (Verdict.FAIL, "KHR-I128")
    assert (found.generation, found.stop, found.owner) == (2, "restored", "CPU 0")
    assert found.what.startswith(what), found


def test_what_is_left_off_on_another_cpu(rig: Rig) -> None:
    result = rig.run("q35", "chain", smp=2, fault="smep-left-off-ap", record=False)
    found = result.findings[0]
    assert (found.rule, found.generation, found.stop) == ("KHR-I128", 2, "sealed")
    assert found.owner == "CPU 1"
