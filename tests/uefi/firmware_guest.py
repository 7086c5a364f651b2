# SPDX-License-Identifier: BSD-3-Clause
"""Runs from UEFI firmware, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any, Callable

from khorig.api.rig_result import RigResult
from khorig.pytest_plugin import PytestRig
from khorig.vm.build_outputs import find_volume
from khorig.vm.machines import machine_named
from khorig.vm.uefi_volume import put_file

FOLDER = PurePosixPath("EFI/BOOT")


class FirmwareGuest(PytestRig):
    """Runs from a copy of what was built, so that a test can change what lies on the volume."""

    def __init__(self, out: Path, build: Path, environment: Callable[[str, str], None]) -> None:
        super().__init__(out)
        self._build = build
        self._environment = environment

    def volume(self, machine: str, built: str | None = None) -> Path:
        """The volume that the next run on `machine` starts from, for changing; `built` is another
        one than the rig's own."""
        arch = machine_named(machine).arch
        self._build.mkdir()
        source = find_volume(arch)
        for other in source.parent.glob("khorig-*"):
            if other.suffix in (".elf", ".bin", ".cpio"):
                (self._build / other.name).symlink_to(other.resolve())
        if built is not None:
            source = source.parents[1] / "tests" / "uefi" / built
        volume = self._build / f"khorig-{arch}.esp"
        shutil.copyfile(source, volume)
        self._environment("KHORIG_BUILD", str(self._build))
        return volume

    def put(self, volume: Path, name: str, contents: bytes) -> None:
        """A file beside the loader."""
        put_file(volume, FOLDER / name, contents)

    def get(self, volume: Path, name: str) -> bytes:
        """The contents of a file beside the loader."""
        command = ["mtype", "-i", os.fspath(volume), f"::/{FOLDER / name}"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def remove(self, volume: Path, name: str) -> None:
        """Takes a file away."""
        subprocess.run(["mdel", "-i", os.fspath(volume), f"::/{FOLDER / name}"], check=True)

    def run(self, machine: str, *words: Any, **options: Any) -> RigResult:
        """See khorig.Rig; from firmware unless told otherwise."""
        return super().run(machine, *words, **{"boot": "uefi", "timeout_s": 120.0, **options})
