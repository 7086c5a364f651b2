# SPDX-License-Identifier: BSD-3-Clause
"""Linuxes that die: named, blamed and explained within seconds, wherever they die."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict

_SOON_S = 15.0  # from the last words to the verdict, on a busy host; it takes 2 to 4


def seconds_to_the_verdict(result: RigResult, words: str) -> float:
    """From the line of the console with `words` to the finding."""
    said = [r["s"] for r in result.records if r["ev"] == "console" and words in r["text"]]
    found = [r["s"] for r in result.records if r["ev"] == "finding"]
    assert said and found, result
    return float(found[0] - said[0])


@each_arch
@pytest.mark.parametrize("before", ["khorig", "linux-7.3"])
def test_l4_a_linux_without_room_for_its_handover(rig: Rig, machine: str, before: str) -> None:
    """mem=64M on a boot with a handover: it dies before its console, which takes no options of
    the rig then; panic=-1 is not reached, so it loops."""
    result = rig.run(machine, kernels=(before, "linux-7.3"), linux_options=("2:mem=64M",))
    assert result.verdict is Verdict.CRASH, result
    assert result.findings[0].generation == 2, result
    words = (result.cause, *result.findings[0].evidence)  # a WARNING may come first
    assert any(line.startswith("Kernel panic - not syncing") for line in words), result
    assert seconds_to_the_verdict(result, "Kernel panic") < _SOON_S
    [cpu] = [cpu for cpu in result.cpus if cpu.number == 0]
    assert any("panic" in frame.where for frame in cpu.frames), cpu
    assert len(str(result).splitlines()) < 30, result


@each_arch
def test_a_panic_that_waits_for_its_reboot_is_not_waited_for(rig: Rig, machine: str) -> None:
    """Linux counts the seconds to its reboot in a loop that reads a clock."""
    options = ("1:panic=600", "1:rdinit=/nothing", "1:init=/nothing")
    result = rig.run(machine, kernels=("linux-7.3", "khorig"), linux_options=options, smp=2)
    assert result.verdict is Verdict.CRASH, result
    assert "Kernel panic" in result.cause
    assert seconds_to_the_verdict(result, "Kernel panic") < _SOON_S
    assert [cpu.number for cpu in result.cpus] == [0, 1]
    named = [cpu.frames[0].where for cpu in result.cpus]
    assert all("+0x" in where for where in named), named


def test_a_stock_kernel_has_names_from_its_own_memory(rig: Rig) -> None:
    """Debian's kernel comes without vmlinux and without frame pointers."""
    options = ("1:panic=600", "1:rdinit=/nothing", "1:init=/nothing")
    result = rig.run("q35", kernels=("linux-stock", "khorig"), linux_options=options)
    assert result.verdict is Verdict.CRASH, result
    frames = [frame for cpu in result.cpus for frame in cpu.frames]
    assert any("panic+0x" in frame.where for frame in frames), frames
