# SPDX-License-Identifier: BSD-3-Clause
"""Finds the kernels built by Bazel."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from khorig.guest.spec import KHORIG
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine


@dataclass(frozen=True)
class Images:
    """Boot files of one architecture."""

    kernel: Path  # for QEMU's -kernel
    archive: Path  # for QEMU's -initrd: the next kernel, as cpio
    # ELF with symbols of a kernel, by its name (RunSpec.kernel_of); none of an image that a user
    # brings.
    elves: Mapping[str, Path] = field(default_factory=dict, hash=False)
    volume: Path | None = None  # UEFI boot volume; None if QEMU loads the kernel
    # Every kernel of the run by its name in the specification, as kexec loads it.
    kernels: Mapping[str, Path] = field(default_factory=dict, hash=False)


def source_root() -> Path | None:
    """The checkout of this package, None for an installed copy."""
    # Not resolved: in Bazel's runfiles the sources are symlinks out of the sandbox.
    root = Path(os.path.abspath(__file__)).parents[3]
    return root if (root / "WORKSPACE").exists() else None


def build_directories() -> list[Path]:
    """Search path: $KHORIG_BUILD, Bazel's runfiles, the checkout's bazel-bin."""
    if chosen := os.environ.get("KHORIG_BUILD"):
        return [Path(chosen)]
    directories = []
    if runfiles := os.environ.get("TEST_SRCDIR") or os.environ.get("RUNFILES_DIR"):
        directories.append(Path(runfiles) / os.environ.get("TEST_WORKSPACE", "khorig") / "kernel")
    if root := source_root():
        directories.append(root / "bazel-bin" / "kernel")
        directories.append(root / "kernel")  # beside the sources in runfiles
    return directories


def find_elf(arch: str, name: str = KHORIG) -> Path:
    """The linked kernel of an architecture: one of KHORIGS. Raises InfraError if it is not
    built."""
    return _find(_stem(arch, name) + ".elf")


def find_images(machine: Machine, first: str = KHORIG, later: str | None = None) -> Images:
    """Boot files of `machine`, of the kernels of these names (KHORIGS): the first, and, where it is
    another, that of all later generations. Raises InfraError naming a missing file."""
    names = (first, later or first)
    stems = {name: _stem(machine.arch, name) for name in names}
    return Images(
        kernel=_find(stems[first] + machine.kernel_suffix),
        archive=_find(stems[names[-1]] + ".cpio"),
        elves={name: _find(stem + ".elf") for name, stem in stems.items()},
        kernels={name: _find(stem + ".bin") for name, stem in stems.items()},
    )


def find_volume(arch: str, name: str = KHORIG) -> Path:
    """The FAT volume with EFI loader and kernel. Raises InfraError if it is not built."""
    return _find(_stem(arch, name) + ".esp")


def _stem(arch: str, name: str) -> str:
    """The name of a kernel's files: "khorig-arm64", "khorig-arm64-16k"."""
    return f"{KHORIG}-{arch}{name.removeprefix(KHORIG)}"


def _find(name: str) -> Path:
    directories = build_directories()
    for directory in directories:
        path = directory / name
        try:
            if path.is_file():
                return path
        except PermissionError as error:
            what = f"{path} was built by another user: {error.strerror}"
            raise InfraError(what, ("build in a checkout of your own",)) from error
    raise InfraError(
        f"{name} is not built",
        ("looked in " + ", ".join(map(str, directories)), "fix: bazel build //kernel:all"),
    )
