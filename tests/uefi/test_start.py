# SPDX-License-Identifier: BSD-3-Clause
"""The same scenarios from UEFI firmware as from QEMU's own loader."""

from __future__ import annotations

import pytest
from firmware_guest import FirmwareGuest

from khorig.api.rig_result import RigResult
from khorig.guest.event import GuestEvent, parse_address
from khorig.guest.machine import MachineFacts
from khorig.mem.guest_ram import GuestRam
from khorig.out.costs import jump_cost, start_cost
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import GUEST
from khorig.rules.temporal.definitions import FIRMWARE_MAP, RUNTIME_SERVICES
from khorig.run.judge import RunJudge
from khorig.run.judging import StopContext
from khorig.vm.machines import machine_named

MIB = 1 << 20

# A handover from firmware may take so much longer than one from QEMU's loader.
_SHARE = 1.10


def _cheapest_jump(result: RigResult) -> int:
    """Instructions. Not of the most expensive one: the console is part of it, and how long that is
    busy depends on the host."""
    jumps = []
    for generation in range(1, result.spec.generations):
        after = [p for p in result.phases if p.generation == generation + 1]
        before = [p for p in result.phases if p.generation == generation]
        phases = [p for p in before if p.name == "serialize"]
        phases += [p for p in after if p.name != "serialize"]
        jumps.append(sum(jump_cost(phases).values()))
    return min(jumps)


@each_arch
def test_handover_as_from_qemus_loader(guest: FirmwareGuest, machine: str) -> None:
    result = guest.run(machine)
    result.expect_pass()
    assert [event["protocol"] for event in result.events("boot")] == ["efi"] * 3
    assert set(start_cost(result.phases)) == {"firmware", "loader"}
    direct = guest.run(machine, boot="direct")
    direct.expect_pass()
    # Memory in more pieces has more and smaller blocks.
    assert 0 < _cheapest_jump(result) <= _cheapest_jump(direct) * _SHARE


@each_arch
def test_a_storm_of_4_cpus(guest: FirmwareGuest, machine: str) -> None:
    result = guest.run(machine, scenario="storm", smp=4)
    result.expect_pass()
    assert [event["online"] for event in result.events("cpus")] == [4] * 3


def test_el2(guest: FirmwareGuest) -> None:
    """The firmware runs at EL2 and enters the kernel there, PSCI is behind SMC instead of HVC."""
    guest.run("virt", smp=4, extra_qemu=("-machine", "virtualization=on")).expect_pass()


@each_arch
def test_chain(guest: FirmwareGuest, machine: str) -> None:
    guest.run(machine, scenario="chain", generations=20).expect_pass()


@pytest.mark.parametrize("machine", ["virt", "q35", "pc"])
def test_memory_sizes(guest: FirmwareGuest, machine: str) -> None:
    for memory in (128 * MIB, 1024 * MIB, 6144 * MIB):
        guest.run(machine, memory=memory).expect_pass()


@each_arch
def test_scattered_memory_and_a_map_that_changes(guest: FirmwareGuest, machine: str) -> None:
    guest.volume(machine, f"stress-{machine_named(machine).arch}.esp")
    result = guest.run(machine)
    result.expect_pass()
    (loader,) = result.events("loader")
    assert loader["regions"] > 128  # what boot_params has room for
    assert loader["regions_dropped"] == 0
    assert loader["attempts"] == 2
    # Only the load options ask for 16 MiB, the file beside the loader for the scenario's own 64.
    assert 16 * MIB <= result.statistics.preserved_bytes < 32 * MIB


@pytest.mark.parametrize("machine", ["q35"])
def test_a_truncated_memory_map_is_found(guest: FirmwareGuest, machine: str) -> None:
    guest.volume(machine, f"stress-{machine_named(machine).arch}.esp")
    result = guest.run(machine, fault="e820-truncated")
    assert (result.verdict, result.findings[0].rule) == (Verdict.FAIL, FIRMWARE_MAP)
    assert result.findings[0].generation == 2
    assert "is missing in that of generation 2" in result.cause


class _Nobody(RunJudge):
    """Judges nothing, so that what the guest finds by itself is seen."""

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """Nothing."""
        return []

    def on_stop(self, context: StopContext) -> list[Finding]:
        """Nothing."""
        return []

    def on_tampered(self, context: StopContext) -> None:
        """Nothing."""

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> list[Finding]:
        return []

    def finish(self, exit_status: int | None) -> list[Finding]:
        """Nothing."""
        return []


class _Scribbler:
    """Flips a bit in the middle of the last runtime region, at the first `sealed`."""

    def __init__(self) -> None:
        self.region: tuple[int, int] | None = None

    def __call__(self, context: StopContext) -> list[str]:
        if (context.generation, context.at) != (1, "sealed"):
            return []
        assert self.region is not None
        self._flip(context.ram, self.region[0] + self.region[1] // 2)
        return [f"wrote to the region {self.region[0]:#x}"]

    def _flip(self, ram: GuestRam, address: int) -> None:
        (byte,) = ram.read(address, 1)
        ram.write(address, bytes([byte ^ 1]))

    def judge(self, of: type) -> type:
        """A judge like `of` that tells where the regions are."""
        scribbler = self

        class Judge(of):  # type: ignore[misc]
            def on_event(self, event: GuestEvent) -> list[Finding]:
                if event.kind == "firmware":
                    begin, size = event.fields["runtime"][-1]
                    scribbler.region = parse_address(begin, "begin"), parse_address(size, "size")
                found: list[Finding] = super().on_event(event)
                return found

        return Judge


@pytest.mark.parametrize("finder", ["host", "guest"])
@each_arch
def test_a_write_to_the_runtime_services_is_found(
    guest: FirmwareGuest, machine: str, finder: str
) -> None:
    scribbler = _Scribbler()
    judge = scribbler.judge(RunJudge if finder == "host" else _Nobody)
    result = guest.run(machine, hooks=[scribbler], judge=judge)
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert found.generation == 2
    by_host = (RUNTIME_SERVICES, "was written: page")
    rule, words = by_host if finder == "host" else (GUEST, "was written to: hash")
    assert found.rule == rule and words in found.what, found
