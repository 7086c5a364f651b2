# SPDX-License-Identifier: BSD-3-Clause
"""Does a run again that left a folder, and compares."""

from __future__ import annotations

import dataclasses
from typing import Any, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.qemu_arguments import check_qemu_arguments
from khorig.cli.session import SessionOptions, run_session
from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.out.again import Sameness, again_lines, sameness
from khorig.run.result import RunResult
from khorig.run.run_folder import RunFolder
from khorig.run.session import RunKind

_STATUS = {Sameness.NOT_RUN: exit_codes.INFRA}


def run_again(run: RunFolder, kind: RunKind[Any], options: SessionOptions) -> int:
    """Repeats a run with the files of its folder and prints whether the outcome is the same.
    Returns the exit status: 0 for the same verdict, rule and cause, 1 for another, 3 when it could
    not be repeated. `kind` is its `kind_of`. Raises UsageError, OSError."""
    from khorig.out.report.run_record import read_run

    then = read_run(run.path).result
    found: list[Sameness] = []

    def compare(results: Sequence[RunResult]) -> str:
        found.append(sameness(then, results[0]))
        return "\n".join(again_lines(then, results[0], run.versions))

    status = run_session([run.spec], kind, options, compare)
    if status > exit_codes.SIGNAL or not found:
        return status
    default = exit_codes.PASS if found[0].is_same else exit_codes.FAIL
    return _STATUS.get(found[0], default)


def kind_of(run: RunFolder) -> RunKind[Any]:
    """How runs of this kind are judged, with the images of then. Raises InfraError for a file that
    is gone or has changed; UsageError."""
    check_qemu_arguments(run.spec)
    images = run.images()
    kind: RunKind[Any]
    if isinstance(run.spec, ChainRun):
        from khorig.linux.chain_kind import chain_kind

        kind = chain_kind()
    elif isinstance(run.spec, KhorigRun):
        from khorig.run.khorig_kind import khorig_kind

        kind = khorig_kind()
    else:
        raise click.UsageError(f"a run of kind '{run.spec.kind}' cannot be repeated")
    return dataclasses.replace(kind, images=lambda spec, machine, folder: images)
