# SPDX-License-Identifier: BSD-3-Clause
"""A Linux that brings up fewer CPUs than the machine has is told, unless it was asked to; the
events are made here, the runs are of a real Linux."""

from __future__ import annotations

import struct

import pytest

from khorig.api.rig import Rig
from khorig.guest.chain_run import ChainRun
from khorig.guest.event import EventFieldError, GuestEvent
from khorig.linux.online_cpus import OnlineCpus
from khorig.mem.memory import RamMemory
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import CPUS_ONLINE
from khorig.run.judging import StopContext

# ACPI 6.5, 5.2.6 and 5.2.12.
_HEADER, _CHECKSUM, _LOCAL_APIC = 36, 9, 0


def found(*options: str, kernel: str = "linux-7.3", smp: int = 4, **fields: int) -> list[str]:
    """What is said of generation 2."""
    spec = ChainRun(
        "x86_64", "q35", kernels=("khorig", kernel), smp=smp, linux_options=options, counted=False
    )
    witness = OnlineCpus(spec)
    none: dict[str, int] = {}
    for generation, numbers in ((1, none), (2, fields), (7, none)):
        assert witness.take(GuestEvent("boot", generation, 0, 0.0, numbers)) == []
    assert all((f.rule, f.generation) == (CPUS_ONLINE, 2) for f in witness.finish())
    return [finding.what for finding in witness.finish()]


def test_fewer_cpus_are_told() -> None:
    assert found(cpus=2, supported=64) == ["2 of 4 CPUs online"]
    assert found(cpus=4, supported=64) == []
    assert found(cpus=2, supported=2) == [], "built for two"
    assert found(cpus=1, supported=2) == ["1 of 4 CPUs online"]


@pytest.mark.parametrize("option", ["2:maxcpus=2", "nr_cpus=2", "nosmp", "possible_cpus=2"])
def test_a_linux_that_was_asked_to_is_right(option: str) -> None:
    assert found(option, cpus=2, supported=64) == []


def test_an_option_of_another_generation_says_nothing() -> None:
    assert found("1:maxcpus=2", "2:nosmpx", cpus=2, supported=64) == ["2 of 4 CPUs online"]


def test_of_a_khorig_and_of_one_cpu_nothing_is_asked() -> None:
    assert found(kernel="khorig") == [] and found(smp=1) == []


def test_a_linux_that_does_not_say_it_breaks_the_protocol() -> None:
    with pytest.raises(EventFieldError):
        found(cpus=2)


@each_arch
def test_all_cpus_of_a_chain_are_in_its_result(rig: Rig, machine: str) -> None:
    result = rig.run(machine, kernels=("khorig", "linux-7.3"), smp=4)
    result.expect_pass()
    assert result.online == {1: 4, 2: 4}
    assert "4 CPUs in each generation" in str(result)


class DisabledCpu:
    """A StopHook: takes a CPU out of ACPI's table before the jump."""

    def __init__(self, cpu: int) -> None:
        self._cpu = cpu

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        for area in RamMemory(context.ram).ranges:
            memory = context.ram.read(area.begin, area.size)
            at = memory.find(b"APIC")
            while at >= 0:
                (size,) = struct.unpack_from("<I", memory, at + 4)
                table = bytearray(memory[at : at + size])
                if _HEADER < size < 4096 and sum(table) % 256 == 0:
                    self._disable(table)
                    context.ram.write(area.begin + at, bytes(table))
                    return [f"disabled CPU {self._cpu} at {area.begin + at:#x}"]
                at = memory.find(b"APIC", at + 4)
        return []

    def _disable(self, table: bytearray) -> None:
        at = _HEADER + 8
        while at + 2 <= len(table) and table[at + 1]:
            if table[at] == _LOCAL_APIC and table[at + 3] == self._cpu:
                table[at + 4 : at + 8] = bytes(4)
            at += table[at + 1]
        table[_CHECKSUM] = 0
        table[_CHECKSUM] = -sum(table) % 256


def test_a_cpu_that_is_not_there_any_more_is_missed(rig: Rig) -> None:
    hooks = (DisabledCpu(2),)
    result = rig.run("q35", kernels=("khorig", "linux-7.3"), smp=4, hooks=hooks)
    assert (result.verdict, result.rule) == (Verdict.FAIL, CPUS_ONLINE), result
    assert result.cause == "3 of 4 CPUs online" and result.findings[0].generation == 2
