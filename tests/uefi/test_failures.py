# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong before the kernel: one clear line and a verdict, never a firmware shell."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest
from firmware_guest import FirmwareGuest

from khorig.guest import status as exit_status
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import FIRMWARE
from khorig.vm.build_outputs import find_images
from khorig.vm.machines import machine_named

MIB = 1 << 20

_OTHER = {"q35": "virt", "virt": "q35"}
# Where each image says how much memory it needs: (offset, format, more than there is).
_MEMORY_FIELD = {"q35": (0x260, "<I", 0xF000_0000), "virt": (0x10, "<Q", 1 << 40)}

Change = Callable[[FirmwareGuest, Path, str], None]


@dataclass(frozen=True)
class Failure:
    """How the volume is changed, and what is said of it."""

    change: Change
    cause: str
    status: int = exit_status.USAGE


def _flip(guest: FirmwareGuest, volume: Path, name: str) -> None:
    contents = bytearray(guest.get(volume, name))
    contents[len(contents) // 2] ^= 0x10
    guest.put(volume, name, bytes(contents))


def _cut(guest: FirmwareGuest, volume: Path, name: str) -> None:
    contents = guest.get(volume, name)
    guest.put(volume, name, contents[: len(contents) // 2])


def _foreign(guest: FirmwareGuest, volume: Path, machine: str) -> None:
    other = find_images(machine_named(_OTHER[machine])).archive.with_suffix(".bin")
    guest.put(volume, "kernel", other.read_bytes())
    guest.remove(volume, "checksums.txt")


def _greedy(guest: FirmwareGuest, volume: Path, machine: str) -> None:
    contents = bytearray(guest.get(volume, "kernel"))
    offset, form, value = _MEMORY_FIELD[machine]
    struct.pack_into(form, contents, offset, value)
    guest.put(volume, "kernel", bytes(contents))
    guest.remove(volume, "checksums.txt")


FAILURES = {
    "no-kernel": Failure(
        lambda g, v, m: g.remove(v, "kernel"), "file: kernel: not found beside the loader"
    ),
    "no-archive": Failure(
        lambda g, v, m: g.remove(v, "archive.cpio"),
        "file: archive.cpio: not found beside the loader",
    ),
    "empty-kernel": Failure(lambda g, v, m: g.put(v, "kernel", b""), "file: kernel: is empty"),
    "damaged-kernel": Failure(lambda g, v, m: _flip(g, v, "kernel"), "damaged: kernel: its "),
    "damaged-archive": Failure(
        lambda g, v, m: _flip(g, v, "archive.cpio"), "damaged: archive.cpio: its "
    ),
    "truncated-kernel": Failure(lambda g, v, m: _cut(g, v, "kernel"), "damaged: kernel: its "),
    "foreign-kernel": Failure(_foreign, "image: kernel: no "),
    "no-list": Failure(
        lambda g, v, m: g.put(v, "checksums.txt", b"# none\n"),
        "file: checksums.txt: not in the format of xxhsum -H1",
    ),
    "greedy-kernel": Failure(_greedy, "no-memory: no room for the kernel: ", exit_status.NO_MEMORY),
}


@pytest.mark.parametrize("name", sorted(FAILURES))
@each_arch
def test_the_verdict_names_the_cause(guest: FirmwareGuest, machine: str, name: str) -> None:
    failure = FAILURES[name]
    volume = guest.volume(machine)
    failure.change(guest, volume, machine)
    result = guest.run(machine)
    assert (result.verdict, result.exit_status) == (Verdict.FAIL, failure.status), result.cause
    assert result.cause.startswith(failure.cause), result.cause
    assert len(result.findings) == 1
    assert len(result.events("error")) == 1


@each_arch
def test_an_archive_larger_than_memory(guest: FirmwareGuest, machine: str) -> None:
    volume = guest.volume(machine)
    guest.remove(volume, "archive.cpio")
    bigger = volume.with_name("bigger")
    _grow(volume, bigger, 300 * MIB)
    guest.put(volume, "archive.cpio", bytes(200 * MIB))
    result = guest.run(machine, memory=160 * MIB)
    assert result.exit_status == exit_status.NO_MEMORY
    assert result.cause == "no-memory: no room for archive.cpio"


def _grow(volume: Path, scratch: Path, size: int) -> None:
    """Puts the volume's contents onto a larger one."""
    with scratch.open("wb") as stream:
        stream.truncate(size)
    format_it = ["/usr/sbin/mkfs.fat", "-F", "32", str(scratch)]
    subprocess.run(format_it, check=True, capture_output=True)
    folder = volume.parent / "contents"
    folder.mkdir()
    subprocess.run(["mcopy", "-s", "-i", str(volume), "::/EFI", str(folder)], check=True)
    subprocess.run(["mcopy", "-s", "-i", str(scratch), str(folder / "EFI"), "::/"], check=True)
    scratch.replace(volume)


@each_arch
def test_a_command_line_that_is_too_long(guest: FirmwareGuest, machine: str) -> None:
    result = guest.run(machine, extra_options=("x" * 3000,))
    assert result.exit_status == exit_status.USAGE
    assert result.cause == "command-line: cmdline.txt: too long"


@each_arch
def test_a_command_line_that_is_not_ascii(guest: FirmwareGuest, machine: str) -> None:
    result = guest.run(machine, extra_options=("name=b\u00fccher",))
    assert result.cause == "command-line: cmdline.txt: characters that are not ASCII"


@each_arch
def test_a_volume_without_a_loader(guest: FirmwareGuest, machine: str) -> None:
    volume = guest.volume(machine)
    firmware = machine_named(machine).firmware
    assert firmware is not None
    guest.remove(volume, Path(firmware.loader).name)
    result = guest.run(machine)
    assert (result.verdict, result.findings[0].rule) == (Verdict.FAIL, FIRMWARE)
    assert "firmware did not start the loader" in result.cause
    assert result.wall_s < 60


@pytest.mark.parametrize("machine", ["virt"])
def test_firmware_without_a_device_tree(guest: FirmwareGuest, machine: str) -> None:
    result = guest.run(machine, extra_qemu=("-machine", "acpi=on"))
    assert result.exit_status == exit_status.USAGE
    assert result.cause.startswith("firmware: the firmware gives no device tree"), result.cause


@pytest.mark.parametrize("machine", ["microvm"])
def test_a_machine_without_firmware_is_skipped(guest: FirmwareGuest, machine: str) -> None:
    result = guest.run(machine)
    assert (result.verdict, result.cause) == (
        Verdict.SKIP,
        "no UEFI firmware for microvm",
    )
