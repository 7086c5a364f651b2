# SPDX-License-Identifier: BSD-3-Clause
"""Runs from UEFI firmware, for tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Sequence

import pytest

from khorig.guest.khorig_run import KhorigRun
from khorig.out.session_documents import SessionDocuments
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.judge import RunJudge
from khorig.run.judging import Judge, StopHook
from khorig.run.khorig_kind import khorig_kind
from khorig.run.result import RunResult
from khorig.run.session import Session
from khorig.vm.build_outputs import find_volume
from khorig.vm.cancellation import Cancellation
from khorig.vm.machines import machine_named
from khorig.vm.uefi_volume import put_file

MIB = 1 << 20
FOLDER = PurePosixPath("EFI/BOOT")

ONE_OF_EACH = pytest.mark.parametrize("machine", ["q35", "virt"])


class FirmwareGuest:
    """Runs from a copy of what was built, so that a test can change what lies on the volume."""

    def __init__(self, out: Path, build: Path, environment: Callable[[str, str], None]) -> None:
        self._out = out
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

    def run(
        self,
        machine: str,
        hooks: Sequence[StopHook] = (),
        judge: Callable[[KhorigRun], Judge] = RunJudge,
        **spec: Any,
    ) -> RunResult:
        """One run; `spec` are fields of KhorigRun."""
        session = Session(
            self._out,
            khorig_kind(judge, lambda spec: hooks),
            SessionDocuments(),
            Cancellation(),
            record=False,
        )
        values: dict[str, Any] = {
            "arch": machine_named(machine).arch,
            "memory": 256 * MIB,
            "timeout_s": 120.0,
            "boot": "uefi",
            **spec,
        }
        return session.run(KhorigRun(machine=machine, **values))


def events(result: RunResult, kind: str) -> list[dict[str, Any]]:
    """The guest's own events of one kind, in order."""
    lines = (Path(result.directory) / "events.jsonl").read_text().splitlines()
    found = [record["event"] for record in map(json.loads, lines) if record["ev"] == "guest"]
    return [event for event in found if event["ev"] == kind]


def expect_pass(result: RunResult) -> None:
    """Fails with what a user would be told."""
    if result.verdict is not Verdict.PASS:
        pytest.fail("\n".join(result_lines(result)), pytrace=False)
