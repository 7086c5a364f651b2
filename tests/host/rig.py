# SPDX-License-Identifier: BSD-3-Clause
"""A rig whose QEMU is a script."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Sequence

import pytest

from khorig.cli.main import main
from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import MachineFacts
from khorig.mem.guest_ram import GuestRam
from khorig.out.session_documents import SessionDocuments
from khorig.rules.finding import Finding
from khorig.run.judging import Statistics, StopContext, StopHook
from khorig.run.khorig_kind import khorig_kind
from khorig.run.result import RunResult
from khorig.run.session import Session
from khorig.vm.build_outputs import Images
from khorig.vm.cancellation import Cancellation
from khorig.vm.limits import Limits
from khorig.vm.machines import Machine

FAKE_QEMU = Path(os.path.abspath(__file__)).with_name("fake_qemu.py")

Script = list[list[Any]]


def event(kind: str, generation: int, **fields: Any) -> list[Any]:
    """A script's line that prints an event."""
    body = {"ev": kind, "gen": generation, "t": 1000 * generation, **fields}
    return ["say", "@khorig " + json.dumps(body)]


def stop(at: str, generation: int, **fields: Any) -> Script:
    """A guest that stops and goes on."""
    return [event("stop", generation, at=at, **fields), ["stop", None]]


def handover_script(generations: int = 3) -> Script:
    """A guest that does everything right."""
    script: Script = []
    for generation in range(1, generations + 1):
        script.append(event("boot", generation, handover=generation > 1, arch="x86_64"))
        script.append(["say", f"generation {generation} says hello"])
        script += stop("entry", generation)
        if generation > 1:
            script.append(event("phase", generation, name="early-boot", ns=500))
            script.append(event("phase", generation, name="restore", ns=640, pages=64, blocks=2))
            script.append(event("restored", generation, blocks=2, pages=64, bytes=1, stores=1))
            script += stop("restored", generation)
        if generation < generations:
            script.append(event("phase", generation, name="serialize", ns=300))
            script += stop("sealed", generation, root="0x1000")
            script.append(event("jump", generation, to="0x2000"))
    script.append(event("done", generations, status="pass"))
    script.append(["exit", 33])
    return script


def usage_error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    return err.splitlines()[0]


def guest_ram_held() -> set[str]:
    """Files of /dev/shm that this process has open or mapped, by their names in /proc. Other
    processes of the machine come and go there, too."""
    links = [fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    maps = Path("/proc/self/maps").read_text().splitlines()
    names = [*map(str, links), *(line.split(maxsplit=5)[-1] for line in maps)]
    return {name for name in names if name.startswith("/dev/shm/")}


class RecordingJudge:
    """Remembers what it is told and says what it is told to say."""

    def __init__(self) -> None:
        self.events: list[GuestEvent] = []
        self.stops: list[tuple[int, str]] = []
        self.finished: list[int | None] = []
        self.tampered: list[tuple[int, str]] = []
        self.on_stops: Callable[[StopContext], list[Finding]] = lambda context: []
        self.picture: dict[str, Any] | None = None
        self.counters: dict[str, int] = {}
        self.statistics = Statistics(2, 64, 64 << 12, 3, 2, 6, 128)

    def on_event(self, event: GuestEvent) -> list[Finding]:
        self.events.append(event)
        return []

    def on_stop(self, context: StopContext) -> list[Finding]:
        self.stops.append((context.generation, context.at))
        return self.on_stops(context)

    def on_tampered(self, context: StopContext) -> None:
        self.tampered.append((context.generation, context.at))

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> list[Finding]:
        return []

    def finish(self, exit_status: int | None) -> list[Finding]:
        self.finished.append(exit_status)
        return []


class Rig:
    """Runs scripts in place of machines."""

    def __init__(self, folder: Path, environment: Callable[[str, str], None]) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.judge = RecordingJudge()
        self.hooks: Sequence[StopHook] = ()
        self.on_folder: Callable[[Path], None] = lambda folder: None
        self.cancellation = Cancellation()
        # The fake QEMU's registers change unless it hangs, so looks need not be far apart.
        self.limits = Limits(silence_s=0.1, interval_s=0.01)
        self.session: Session[KhorigRun] | None = None
        self._kind = khorig_kind(lambda spec: self.judge, lambda spec: self.hooks)
        self._environment = environment
        binaries = folder / "bin"
        binaries.mkdir()
        for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
            (binaries / name).symlink_to(FAKE_QEMU)
        build = folder / "build"
        build.mkdir()
        for arch in ("x86_64", "arm64"):
            for suffix in (".elf", ".bin", ".cpio"):
                (build / f"khorig-{arch}{suffix}").write_bytes(b"")
        environment("PATH", f"{binaries}:/usr/bin:/bin")
        environment("KHORIG_BUILD", str(build))

    def play(self, script: Script) -> None:
        """Makes the next QEMU play `script`."""
        self._environment("FAKE_QEMU", json.dumps(script))

    def run(
        self, script: Script, record: bool = False, keep: bool = False, **spec: Any
    ) -> RunResult:
        """One run of `script`."""
        self.play(script)
        values: dict[str, Any] = {"arch": "x86_64", "machine": "q35", "memory": 16 << 20}
        values["timeout_s"] = 20.0
        self.session = Session(
            self.out,
            replace(self._kind, images=self._images),
            SessionDocuments(),
            self.cancellation,
            keep=keep,
            record=record,
            limits=self.limits,
        )
        return self.session.run(KhorigRun(**{**values, **spec}))

    def _images(self, spec: KhorigRun, machine: Machine, folder: Path) -> Images:
        """What QEMU loads; the folder of the run is still empty."""
        self.on_folder(folder)
        return self._kind.images(spec, machine, folder)

    def files(self, result: RunResult) -> set[str]:
        """Names of what the run left."""
        return {path.name for path in Path(result.directory).iterdir()}
