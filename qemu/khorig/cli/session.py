# SPDX-License-Identifier: BSD-3-Clause
"""Does the runs that a verb asks for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence, TextIO, TypeVar

import click

from khorig.cli import exit_codes
from khorig.cli.output import renderer_for
from khorig.guest.spec import RunSpec
from khorig.run.artifacts import DRY_RUN, default_out
from khorig.run.debug.debugger import Debugger, GdbFromStart

if TYPE_CHECKING:
    from khorig.run.result import RunResult
    from khorig.run.session import RunKind

Spec = TypeVar("Spec", bound=RunSpec)


@dataclass(frozen=True)
class SessionOptions:
    """What the user chose that concerns no run in particular."""

    out: Path  # for artifacts
    people: TextIO  # where what is for people goes
    verbose: bool = False  # the guest's console, too
    json: bool = False  # results.json on stdout
    keep: bool = False  # guest RAM at every stop of every run
    record: bool = True  # guest RAM at every stop of failed runs
    jobs: int = 1  # runs side by side
    gdb: int | None = None  # the port on which the one run waits for gdb
    debugger: Debugger | None = None  # in place of `gdb`
    dry_run: bool = False  # only print QEMU's command lines


def session_options(options: Mapping[str, Any], record: bool = True) -> SessionOptions:
    """From the options of a verb, as khorig.cli.run_options names them."""
    return SessionOptions(
        out=options["out"] or default_out(),
        people=sys.stderr if options.get("json") else sys.stdout,
        verbose=options.get("verbose", False),
        json=options.get("json", False),
        keep=options.get("keep", False),
        record=record,
        jobs=options.get("jobs", 1),
        gdb=options.get("gdb"),
        dry_run=options.get("dry_run", False),
    )


def run_session(
    specs: Sequence[Spec],
    kind: RunKind[Spec],
    options: SessionOptions,
    summary: Callable[[Sequence[RunResult]], str] | None = None,
    status: Callable[[Sequence[RunResult]], int] = exit_codes.exit_code,
) -> int:
    """Does all runs, prints what comes of them, `summary` last, and returns the exit status, as
    `status` has it. Raises InfraError, UsageError, and OSError when stdout takes no more."""
    if options.gdb is not None and len(specs) != 1:
        raise click.UsageError(f"--gdb needs exactly one run; these options select {len(specs)}")
    if options.dry_run:
        return _print_commands(specs, kind, options)
    from khorig.out.session_documents import SessionDocuments
    from khorig.run.session import Session
    from khorig.vm.cancellation import Cancellation

    cancellation = Cancellation()
    cancellation.install()
    session = Session(
        options.out,
        kind,
        SessionDocuments(),
        cancellation,
        [renderer_for(options.people, options.verbose)],
        keep=options.keep,
        record=options.record and options.gdb is None,
        debugger=_at_start(specs[0], options),
    )
    results = session.run_all(specs, options.jobs)
    if summary is not None and (text := summary(results)):
        click.echo(text, file=options.people if options.json else None)
    if options.json:
        from khorig.out.documents import results_document
        from khorig.out.text import relative

        click.echo(results_document(results, relative(session.folder)), nl=False)
    if cancellation.signal_number is not None:
        return exit_codes.SIGNAL + cancellation.signal_number
    if session.output_error is not None:
        raise session.output_error
    return status(results)


def _print_commands(specs: Sequence[Spec], kind: RunKind[Spec], options: SessionOptions) -> int:
    """Prints for each run how QEMU starts the same machine, with its console on stdio. What is
    made for a run, such as archives with more kernels, is left below out/dry-run. Raises
    InfraError, OSError."""
    from khorig.run.images import images_for
    from khorig.vm.command import standalone_command
    from khorig.vm.machines import machine_named

    for spec in specs:
        machine = machine_named(spec.machine)
        if (reason := machine.refuses(spec.memory, spec.boot)) is not None:
            click.echo(f"# {spec.id}: skipped, {reason}")
            continue
        folder = options.out / DRY_RUN / spec.id
        folder.mkdir(parents=True, exist_ok=True)
        images = images_for(kind, spec, machine, folder.resolve())
        click.echo(f"# {spec.id}\n{standalone_command(machine, spec, images)}")
    return exit_codes.PASS


def _at_start(spec: RunSpec, options: SessionOptions) -> Debugger:
    """Who holds up the run, after telling people how to attach gdb to it from its start."""
    if options.debugger is not None:
        return options.debugger
    if options.gdb is None:
        return Debugger()
    from khorig.guest.spec import KHORIGS
    from khorig.run.debug.attach import gdb_command
    from khorig.vm.build_outputs import find_elf

    # Whoever debugs a Linux knows where its vmlinux is.
    first = spec.kernel_of(1)
    elf = find_elf(spec.arch, first) if first in KHORIGS else None
    click.echo(f"waiting for gdb:  {gdb_command(spec.arch, elf, options.gdb)}", file=options.people)
    return GdbFromStart(options.gdb)
