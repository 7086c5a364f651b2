# SPDX-License-Identifier: BSD-3-Clause
"""Chains that UEFI firmware starts: its memory is nobody's, in a Linux as in khorig, and every
Linux behind the first kernel may call it."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from unchecked_image import without_address_check

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.guest.event import parse_address
from khorig.linux.archive import write_archive
from khorig.linux.user_space import compile_static
from khorig.pytest_plugin import built_peer, each_arch
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import LINUX_REPORTS
from khorig.rules.temporal.definitions import RUNTIME_SERVICES
from khorig.run.judging import StopContext
from khorig.vm.machines import machine_named

LINUX = "linux-7.3"


@pytest.fixture
def linux(machine: str, tmp_path: Path) -> str:
    """A Linux that boots by UEFI with a handover: on arm64 Linux's own check stops it (K1)."""
    arch = machine_named(machine).arch
    peer = built_peer(arch, LINUX)
    if "CONFIG_EFI=y" not in (peer.directory / "config").read_text():
        pytest.skip(f"the peer {peer.pinned} is built without EFI")
    return LINUX if arch == "x86_64" else without_address_check(peer, tmp_path)


@pytest.fixture
def program(machine: str, tmp_path: Path) -> str:
    """An initramfs with a program that calls the firmware."""
    peer, path = built_peer(machine_named(machine).arch, LINUX), tmp_path / "firmware.cpio"
    source = Path(__file__).parent / "firmware.c"
    write_archive(path, {"firmware": compile_static(peer, [source], [], source.name)}, ())
    return str(path)


def console(result: RigResult) -> str:
    return (result.folder / "console.log").read_text(errors="replace")


@pytest.mark.parametrize("order", ["khorig first", "linux first"])
@each_arch
def test_every_linux_of_a_chain_calls_the_firmware(
    rig: Rig, machine: str, linux: str, program: str, order: str
) -> None:
    """Whatever khorig was given of it, it hands on."""
    kernels: tuple[str, ...] = ("khorig", linux, "khorig", linux)
    if order == "linux first":
        kernels = (linux, "khorig", linux)
    run = functools.partial(rig.run, machine, kernels=kernels, boot="uefi", keep=True)
    result = run(extra_initrd=program, programs=("/firmware",))
    result.expect_pass()
    assert {event["protocol"] for event in result.events("boot")} == {"efi", "init"}
    assert console(result).count("efi: EFI v2") == kernels.count(linux)
    assert "boot: ignored" not in console(result)


@each_arch
def test_each_khorig_finds_the_same_regions(rig: Rig, machine: str, linux: str) -> None:
    """In the memory map that it was given, the second one by a Linux."""
    result = rig.run(machine, kernels=("khorig", linux, "khorig", linux), boot="uefi")
    result.expect_pass()
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
    assert "efi: EFI v2" in console(result)


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
def test_a_write_to_the_runtime_services_is_found(rig: Rig, machine: str, linux: str) -> None:
    sound = rig.run(machine, kernels=("khorig", linux), boot="uefi")
    sound.expect_pass()
    (said,) = sound.events("firmware")
    begin = parse_address(said["runtime"][0][0], "begin")
    for generation in (1, 2):  # by khorig, by Linux
        chain = ("khorig", linux, "khorig", linux)
        result = rig.run(machine, kernels=chain, hooks=(Flip(begin, generation),), boot="uefi")
        assert result.verdict is Verdict.FAIL
        found = result.findings[0]
        assert found.rule == RUNTIME_SERVICES and "was written: page" in found.what, found
        assert (found.where, found.generation) == (f"{begin:#018x}", generation + 1)
