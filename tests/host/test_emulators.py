# SPDX-License-Identifier: BSD-3-Clause
"""What guests run on is an input of the tests, so that Bazel runs them again after an upgrade."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from khorig.vm.cpu_model import why_no_cpu
from khorig.vm.machines import MACHINES, Machine, machine_named

_BIOSES = Path("/usr/share/qemu")


def _files(machine: Machine) -> set[Path]:
    """The files of this system that a guest on that machine runs on."""
    binary = shutil.which(machine.binary)
    files = {Path(binary)} if binary else set()
    if machine.firmware is not None:
        files |= {machine.firmware.code, machine.firmware.variables}
    words = machine.direct_boot_arguments
    files |= {_BIOSES / name for option, name in zip(words, words[1:]) if option == "-bios"}
    return {path.resolve() for path in files if path.is_file()}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_what_a_guest_runs_on_is_an_input(machine: Machine) -> None:
    runfiles = os.environ.get("TEST_SRCDIR")
    if runfiles is None:
        pytest.skip("only Bazel keeps results")
    inputs = {path.resolve() for path in Path(runfiles, "system", "emulators").rglob("*")}
    files = _files(machine)
    assert files and files <= inputs, f"not an input: {sorted(files - inputs)}"


@pytest.mark.parametrize(
    ("name", "cpu", "why"),
    [
        ("q35", "qemu64", None),
        ("q35", "EPYC", None),
        ("q35", "max,la57=off", None),
        ("q35", "qemu32", "the kernel needs a 64-bit CPU"),
        ("q35", "486", "the kernel needs a 64-bit CPU"),
        ("q35", "cortex-a57", "CPU model 'cortex-a57' not found"),
        ("virt", "cortex-a57", None),
        ("virt", "max", None),
        ("virt", "cortex-a15", "the kernel needs a 64-bit CPU"),
        ("virt", "host", "The CPU type 'host' requires KVM"),
    ],
)
def test_qemu_is_asked_for_a_cpu(name: str, cpu: str, why: str | None) -> None:
    machine = machine_named(name)
    if shutil.which(machine.binary) is None:
        pytest.skip(f"{machine.binary} is not installed")
    assert why_no_cpu(machine, cpu) == why


def test_the_qemu_that_runs_the_machine_is_asked(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text('#!/bin/sh\necho \'{"error": {"desc": "not in this one"}}\'\n')
    program.chmod(0o755)
    for machine in (machine_named("q35"), machine_named("virt")):
        assert why_no_cpu(machine, "max", str(program)) == "not in this one"
