# SPDX-License-Identifier: BSD-3-Clause
"""`khorig teeth`"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from typing import TYPE_CHECKING, Any, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.run_options import ALL, machines_of, run_options, without
from khorig.cli.suggest import unknown_kernel
from khorig.cli.types import NameOf
from khorig.cli.verb import Verb
from khorig.guest.spec import RunSpec
from khorig.run.artifacts import default_out
from khorig.vm.machines import Machine

if TYPE_CHECKING:
    from khorig.linux.teeth import Teeth


def _class_names() -> Sequence[str]:
    from khorig.run.teeth.classes import CLASSES

    return tuple(CLASSES)


@click.command(
    cls=Verb, short_help="Corrupt handed-over memory byte by byte and count what is detected."
)
@click.option(
    "--chain",
    "chains",
    multiple=True,
    default=["khorig"],
    show_default=True,
    help="Kernels in boot order, as for 'linux run'; 'khorig' alone is three of them, 'all' is one "
    "chain of each direction. Repeatable.",
)
@click.option(
    "--class",
    "classes",
    type=NameOf("class", _class_names),
    help="Only owners of these classes.  [default: all]",
)
@run_options(
    *("arch", "machine", "boot", "seed", "out", "jobs", "verbose", "json"),
    smp=RunSpec.smp,
    mem=None,
    timeout=None,
)
@without(
    stops="every stop is tried",
    tamper="it chooses the damage; see --class",
    poke="it chooses the damage; see --class",
    keep="it does many runs",
    gdb="it is more than one run",
    dry_run="what is run depends on the runs before",
)
def teeth(chains: Sequence[str], classes: tuple[str, ...] | None, **options: Any) -> int:
    """Flip one bit of handed-over memory, one run for each class of owner and each stop at which
    that is a violation. Each run must FAIL, with a first finding that names page and owner.

    \b khorig teeth khorig alone, on x86_64 and arm64 khorig teeth --chain linux-7.3,khorig
    --machine q35 --class memblock,kho_test-folio khorig teeth --chain all every direction

    Exit status 1 when a change went undetected. What cannot be detected yet is listed with the
    reason and not tried. RAM is 128M by default, 512M with a Linux.
    """
    machines = machines_of(options["arch"], options["machine"])
    specs = [
        _spec(chain, machine, boot, options)
        for chain, machine, boot in itertools.product(_kernels(chains), machines, options["boot"])
    ]
    return _try(specs, classes or tuple(_class_names()), options)


def _kernels(chains: Sequence[str]) -> list[tuple[str, ...]]:
    from khorig.linux.teeth import CHAINS

    found: list[tuple[str, ...]] = []
    for chain in chains:
        kernels = tuple(name for name in chain.split(",") if name)
        found += CHAINS if chain == ALL else (kernels,)
    for kernels in found:
        for name in kernels:
            if name != "khorig" and not name.startswith("linux-") and "/" not in name:
                raise unknown_kernel(name)
        if len(kernels) < 2 and kernels != ("khorig",):
            raise click.UsageError("a chain needs at least two kernels, or is khorig alone")
    return list(dict.fromkeys(found))


def _spec(
    kernels: tuple[str, ...], machine: Machine, boot: str, options: dict[str, Any]
) -> RunSpec:
    from khorig.linux.teeth import spec_of

    spec = spec_of(kernels, machine, boot, options["seed"])
    return dataclasses.replace(
        spec,
        smp=options["smp"],
        memory=options["mem"] or spec.memory,
        timeout_s=options["timeout"] or spec.timeout_s,
    )


def _try(specs: Sequence[RunSpec], classes: Sequence[str], options: dict[str, Any]) -> int:
    from khorig.linux.teeth import Teeth
    from khorig.out.session_documents import SessionDocuments
    from khorig.out.teeth import TeethRenderer, score_lines, teeth_document
    from khorig.run.session import Session
    from khorig.vm.cancellation import Cancellation

    cancellation = Cancellation()
    cancellation.install()
    people = sys.stderr if options["json"] else sys.stdout
    attempts = Teeth(classes)
    session = Session(
        options["out"] or default_out(),
        attempts.kind,
        SessionDocuments(),
        cancellation,
        [TeethRenderer(people, attempts, options["verbose"])],
        record=False,
    )
    failed = attempts.survey(session, specs, options["jobs"])
    if not failed:
        attempts.bite(session, options["jobs"])
        for line in score_lines(attempts):
            click.echo(line, file=people)
        if options["json"]:
            click.echo(teeth_document(attempts), nl=False)
    if cancellation.signal_number is not None:
        return exit_codes.SIGNAL + cancellation.signal_number
    if session.output_error is not None:
        raise session.output_error
    if failed:
        click.echo("nothing was corrupted: not every run passes without corruption", file=people)
        return exit_codes.exit_code(failed)
    return _status(attempts)


def _status(attempts: Teeth) -> int:
    from khorig.run.teeth.bite import Outcome

    if not attempts.bites:
        return exit_codes.NOTHING_RAN
    missed = {bite.outcome for bite in attempts.bites if not bite.is_tooth}
    if missed - {Outcome.UNDONE}:
        return exit_codes.FAIL
    return exit_codes.INFRA if missed else exit_codes.PASS
