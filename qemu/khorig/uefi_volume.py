# SPDX-License-Identifier: BSD-3-Clause
"""The volume that UEFI firmware starts a run from."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

from khorig.build_outputs import Images, find_images, find_volume
from khorig.errors import InfraError
from khorig.machines.machine import Machine

COMMAND_LINE = "cmdline.txt"

_MCOPY = "mcopy"
_TIMEOUT_S = 30.0


def make_uefi_images(machine: Machine, command_line: str, folder: Path) -> Images:
    """A copy of the built volume below `folder`, with the command line of a run. Raises InfraError
    when something is not installed or not built, and OSError."""
    firmware = machine.firmware
    assert firmware is not None, "the machine refuses to start from firmware"
    if missing := firmware.missing():
        mend = f"mend it: apt-get install {firmware.package}"
        raise InfraError(f"the firmware {missing} is not installed", (mend,))
    volume = folder / "esp.img"
    shutil.copyfile(find_volume(machine.arch), volume)
    loader = PurePosixPath(firmware.loader)
    put_file(volume, loader.parent / COMMAND_LINE, f"{command_line}\n".encode())
    return dataclasses.replace(find_images(machine), volume=volume)


def put_file(volume: Path, path: PurePosixPath, contents: bytes) -> None:
    """Writes a file of a FAT volume, in place of one of that name. Raises InfraError."""
    with tempfile.NamedTemporaryFile(prefix="khorig.") as source:
        source.write(contents)
        source.flush()
        _mtools([_MCOPY, "-o", "-i", os.fspath(volume), source.name, f"::/{path}"])


def _mtools(command: list[str]) -> None:
    if (program := shutil.which(command[0])) is None:
        mend = "mend it: apt-get install mtools"
        raise InfraError(f"{command[0]} is not installed", (mend,))
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InfraError(f"{command[0]} took longer than {_TIMEOUT_S:g} s") from error
    if done.returncode:
        said = tuple(done.stderr.splitlines())
        raise InfraError(f"{command[0]} failed: {said[-1] if said else done.returncode}", said)
