# SPDX-License-Identifier: BSD-3-Clause
"""`khorig replay --gdb --reverse`"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import click

from khorig.cli import exit_codes
from khorig.cli.again import run_again
from khorig.cli.session import SessionOptions
from khorig.cli.stopping import announcer, check_stop
from khorig.guest.spec import RunSpec
from khorig.run.debug.recorded_run import serve_recording
from khorig.run.debug.recorder import Recorder
from khorig.run.run_folder import RunFolder
from khorig.run.session import RunKind
from khorig.vm.cancellation import Cancellation
from khorig.vm.recording import new_recording


def run_backwards(
    run: RunFolder,
    kind: RunKind[Any],
    options: SessionOptions,
    port: int,
    at: tuple[str, int] | None,
) -> int:
    """Does the run again while QEMU records it, then gives the recording to gdb, at the stop `at`
    of a generation or the last one. Returns the exit status of the repetition. Raises UsageError
    for a run that QEMU cannot record, InfraError, Interrupted, OSError."""
    if (reason := _why_not(run.spec)) is not None:
        raise click.UsageError(f"--reverse: {reason}")
    if at is not None:
        check_stop(run.spec, *at)
    with tempfile.TemporaryDirectory(prefix="khorig.") as name:
        folder = Path(name)
        recording = new_recording(folder)
        recorder = Recorder(recording, at)
        status = run_again(run, kind, dataclasses.replace(options, gdb=None, debugger=recorder))
        if status == exit_codes.INFRA or status > exit_codes.SIGNAL:
            return status
        stop = recorder.stop
        if stop is None:
            where = f"{at[0]}:{at[1]}" if at is not None else "a stop"
            click.echo(f"{where} was not reached; the recording is at its start", options.people)
        announce, cancellation = announcer(run, options, port), Cancellation()
        cancellation.install()
        serve_recording(
            run.spec,
            run.images(),
            recording,
            stop.instructions if stop else 0,
            port,
            folder,
            cancellation,
            lambda: announce(stop.generation if stop else 1, stop.boot if stop else None),
        )
    return status


def _why_not(spec: RunSpec) -> str | None:
    if spec.smp > 1:
        return f"QEMU records one CPU, and this run has {spec.smp}"
    if not spec.counted:
        return "this run does not count virtual time (--count)"
    if spec.boot == "uefi":
        return "QEMU does not save a machine with the disks of UEFI"
    return None
