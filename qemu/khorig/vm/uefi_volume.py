# SPDX-License-Identifier: BSD-3-Clause
"""The UEFI boot volume of a run."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

import xxhash

from khorig.vm.build_outputs import Images, find_images, find_volume
from khorig.vm.errors import InfraError
from khorig.vm.exit_meaning import describe_status, last_lines
from khorig.vm.machines.machine import Machine

COMMAND_LINE = "cmdline.txt"
_ARCHIVE = "archive.cpio"
_CHECKSUMS = "checksums.txt"

_MCOPY = "mcopy"
_SECTOR = 512
_ROOM = 1 << 20  # bytes of a volume for its own tables and for what is rounded up
_TIMEOUT_S = 30.0


def make_uefi_images(
    machine: Machine, images: Images, first: str, command_line: str, folder: Path
) -> Images:
    """`images` with a copy of the built volume of the kernel `first` below `folder`, with the
    command line of a run and, when that is not the built one, its archive. Raises InfraError when
    something is not installed or not built, and OSError."""
    firmware = machine.firmware
    assert firmware is not None, "the machine refuses to start from firmware"
    firmware.check()
    volume = folder / "esp.img"
    place = PurePosixPath(firmware.loader).parent
    built = find_volume(machine.arch, first)
    if images.archive == find_images(machine, first).archive:
        shutil.copyfile(built, volume)
    else:
        _write_volume(volume, built, place / _ARCHIVE, images.archive)
    put_file(volume, place / COMMAND_LINE, f"{command_line}\n".encode())
    return dataclasses.replace(images, volume=volume)


def _write_volume(volume: Path, built: Path, path: PurePosixPath, archive: Path) -> None:
    """Writes a volume with what is on the `built` one, but for the archive at `path`, which may be
    of any size. Raises InfraError, OSError."""
    contents = archive.read_bytes()
    with tempfile.TemporaryDirectory(prefix="khorig.") as folder:
        tree = Path(folder)
        _mtools([_MCOPY, "-s", "-i", os.fspath(built), f"::/{path.parts[0]}", folder])
        (tree / path).write_bytes(contents)
        checksums = tree / path.parent / _CHECKSUMS
        lines = [line for line in checksums.read_text().splitlines() if path.name not in line]
        lines.append(f"{xxhash.xxh64_hexdigest(contents)}  {path.name}")
        checksums.write_text("\n".join(lines) + "\n")
        used = sum(entry.stat().st_size for entry in tree.rglob("*") if entry.is_file())
        sectors = (used + _ROOM) // _SECTOR
        with volume.open("wb") as stream:
            stream.truncate(sectors * _SECTOR)
        _mtools(["mformat", "-i", os.fspath(volume), "-T", str(sectors), "::"])
        _mtools([_MCOPY, "-s", "-i", os.fspath(volume), os.fspath(tree / path.parts[0]), "::/"])


def put_file(volume: Path, path: PurePosixPath, contents: bytes) -> None:
    """Writes a file of a FAT volume, in place of one of that name. Raises InfraError."""
    with tempfile.NamedTemporaryFile(prefix="khorig.") as source:
        source.write(contents)
        source.flush()
        _mtools([_MCOPY, "-o", "-i", os.fspath(volume), source.name, f"::/{path}"])


def _mtools(command: list[str]) -> None:
    if (program := shutil.which(command[0])) is None:
        mend = "fix: apt-get install mtools"
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
        how = f"{command[0]} {describe_status(done.returncode)}"
        raise InfraError(f"{how}: {said[-1]}" if said else how, last_lines(said, 8))
