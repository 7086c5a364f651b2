# SPDX-License-Identifier: BSD-3-Clause
"""Memory of the firmware: that it stays what it was, and that every kernel of the rig knows of
it."""

from __future__ import annotations

import pytest
from verdict.fake_guest import stop_of

from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import RamMemory
from khorig.rules.stop import Stop
from khorig.rules.temporal.runtime_services import RuntimeServices

_REGION = [["0x2000", "0x1000"]]


class Machine:
    """Memory that a test may write to, and what the kernels say of it."""

    def __init__(self) -> None:
        self.bytes = bytearray(16 << 10)
        self.services = RuntimeServices()

    def says(self, generation: int, regions: list[list[str]]) -> list[str]:
        """What is wrong with a `firmware` event."""
        fields = {"ev": "firmware", "runtime": regions}
        event = GuestEvent("firmware", generation, 0, 0.0, fields)
        return [finding.what for finding in self.services.take(event)]

    def stop(self, generation: int, at: str) -> Stop:
        """A kernel at a stop."""
        ram = GuestRam(memoryview(self.bytes), [RamRegion(0, len(self.bytes), 0)])
        return stop_of(RamMemory(ram), KhorigRun("x86_64", "q35", boot="uefi"), generation, at)

    def check(self, generation: int, at: str) -> list[str]:
        """What is wrong at a stop of a kernel of the rig."""
        return [finding.what for finding in self.services.check(self.stop(generation, at))]


@pytest.fixture
def machine() -> Machine:
    """One whose first kernel has sealed."""
    machine = Machine()
    assert machine.says(1, _REGION) == []
    assert machine.check(1, "sealed") == []
    return machine


def test_a_region_that_stays_is_well(machine: Machine) -> None:
    assert machine.check(2, "entry") == []
    assert machine.says(2, _REGION) == []
    assert machine.check(2, "restored") == machine.check(2, "sealed") == []


def test_a_write_is_found_at_every_stop_of_every_kernel(machine: Machine) -> None:
    machine.bytes[0x2FFF] = 1
    assert "was written:" in machine.check(2, "entry")[0]
    (finding,) = machine.services.compare(machine.stop(2, "restored"))
    assert "was written:" in finding.what


def test_what_changes_while_a_linux_runs_is_the_firmwares(machine: Machine) -> None:
    look = machine.services.of_caller
    assert look(machine.stop(2, "entry")) == []
    machine.bytes[0x2000] = 1
    assert look(machine.stop(2, "sealed")) == []
    assert machine.check(3, "entry") == []
    machine.bytes[0x2FFF] = 1
    assert "was written:" in machine.check(3, "entry")[0]


def test_a_jump_into_a_linux_is_compared(machine: Machine) -> None:
    machine.bytes[0x2000] = 1
    (finding,) = machine.services.of_caller(machine.stop(2, "entry"))
    assert "was written:" in finding.what


@pytest.mark.parametrize("at", ["restored", "sealed"])
def test_a_kernel_that_has_not_found_the_regions_is_found(machine: Machine, at: str) -> None:
    assert machine.check(2, at) == ["no 'firmware' event before this stop"]


def test_a_kernel_that_has_found_others_is_found(machine: Machine) -> None:
    (what,) = machine.says(2, [["0x2000", "0x800"]])
    assert "the first generation had" in what


def test_without_a_word_of_the_first_kernel_nothing_is_watched() -> None:
    machine = Machine()
    assert machine.check(1, "sealed") == ["no 'firmware' event before this stop"]
    assert machine.check(2, "entry") == ["no 'firmware' event before this stop"]
