# SPDX-License-Identifier: BSD-3-Clause
"""Chains that UEFI firmware starts: its memory is nobody's, in a Linux as in khorig."""

from __future__ import annotations


from khorig.api.rig import Rig
from khorig.guest.event import parse_address
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import LINUX_REPORTS
from khorig.rules.temporal.definitions import RUNTIME_SERVICES
from khorig.run.judging import StopContext

CHAIN = ("khorig", "linux-7.3", "khorig", "linux-7.3")


@each_arch
def test_a_chain_hands_over(rig: Rig, machine: str) -> None:
    result = rig.run(machine, kernels=CHAIN, boot="uefi")
    result.expect_pass()
    protocols = [event["protocol"] for event in result.events("boot")]
    assert protocols == ["efi", "init", "linux", "init"]
    # Each khorig finds the regions in the memory map that it was given, the second one by a Linux.
    first, second = result.events("firmware")
    assert (first["gen"], second["gen"]) == (1, 3)
    assert first["runtime"] == second["runtime"] != []


def test_firmware_starts_a_linux_itself(rig: Rig) -> None:
    """By its EFI stub, with initrd and command line: user space runs, and the tables are as
    they were. Debian's kernel has no KHO, so the chain ends there."""
    result = rig.run("q35", kernels=("linux-stock", "khorig"), boot="uefi")
    assert result.verdict is Verdict.FAIL
    assert (result.findings[0].rule, result.findings[0].generation) == (LINUX_REPORTS, 1), result
    assert [event["gen"] for event in result.events("boot")] == [1]
    assert "efi: EFI v2" in (result.folder / "console.log").read_text(errors="replace")


class Flip:
    """Flips a bit at an address while a kernel waits at `sealed`."""

    def __init__(self, address: int, generation: int) -> None:
        self._address = address
        self._generation = generation

    def __call__(self, context: StopContext) -> list[str]:
        if (context.at, context.generation) != ("sealed", self._generation):
            return []
        (byte,) = context.ram.read(self._address, 1)
        context.ram.write(self._address, bytes([byte ^ 1]))
        return [f"flipped a bit at {self._address:#x}"]


@each_arch
def test_a_write_to_the_runtime_services_is_found(rig: Rig, machine: str) -> None:
    sound = rig.run(machine, kernels=CHAIN[:2], boot="uefi")
    sound.expect_pass()
    (said,) = sound.events("firmware")
    begin = parse_address(said["runtime"][0][0], "begin")
    for generation in (1, 2):  # by khorig, by Linux
        result = rig.run(machine, kernels=CHAIN, hooks=(Flip(begin, generation),), boot="uefi")
        assert result.verdict is Verdict.FAIL
        found = result.findings[0]
        assert found.rule == RUNTIME_SERVICES and "was written: page" in found.what, found
        assert (found.where, found.generation) == (f"{begin:#018x}", generation + 1)
