# SPDX-License-Identifier: BSD-3-Clause
"""Does the runs that a verb asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence, TextIO, TypeVar

import click

from khorig.cli import exit_codes
from khorig.cli.output import renderer_for
from khorig.guest.spec import RunSpec
from khorig.out.session_documents import SessionDocuments
from khorig.run.artifacts import default_out
from khorig.run.session import RunKind, Session
from khorig.vm.cancellation import Cancellation

if TYPE_CHECKING:
    from khorig.run.result import RunResult

Spec = TypeVar("Spec", bound=RunSpec)


@dataclass(frozen=True)
class SessionOptions:
    """What the user chose that concerns no run in particular."""

    out: Path | None  # for artifacts; the default folder when None
    people: TextIO  # where what is for people goes
    verbose: bool = False  # the guest's console, too
    json: bool = False  # results.json on stdout
    keep: bool = False  # guest RAM at every stop of every run
    record: bool = True  # do failed runs again with guest RAM kept
    jobs: int = 1  # runs side by side


def run_session(
    specs: Sequence[Spec],
    kind: RunKind[Spec],
    options: SessionOptions,
    summary: Callable[[Sequence[RunResult]], str] | None = None,
) -> int:
    """Does all runs, prints what comes of them, `summary` last, and returns the exit status. Raises
    InfraError."""
    cancellation = Cancellation()
    cancellation.install()
    session = Session(
        options.out or default_out(),
        kind,
        SessionDocuments(),
        cancellation,
        [renderer_for(options.people, options.verbose)],
        keep=options.keep,
        record=options.record,
    )
    results = session.run_all(specs, options.jobs)
    if summary is not None and (text := summary(results)):
        click.echo(text, file=options.people if options.json else None)
    if options.json:
        from khorig.out.documents import results_document

        click.echo(results_document(results), nl=False)
    if cancellation.signal_number is not None:
        return exit_codes.SIGNAL + cancellation.signal_number
    return exit_codes.exit_code(results)
