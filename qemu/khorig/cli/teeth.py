# SPDX-License-Identifier: BSD-3-Clause
"""`khorig teeth`"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.types import NameOf, Seed
from khorig.guest.spec import BOOTS, RunSpec
from khorig.run.artifacts import default_out
from khorig.vm.machines import DEFAULT_MACHINES, MACHINES, machine_named

if TYPE_CHECKING:
    from khorig.linux.teeth import Teeth

_ALL = "all"


def _class_names() -> Sequence[str]:
    from khorig.run.teeth.classes import CLASSES

    return tuple(CLASSES)


@click.command(
    short_help="Change handed-over memory byte by byte and count what is found.",
    context_settings={"auto_envvar_prefix": "KHORIG"},
)
@click.option(
    "--chain",
    "chains",
    multiple=True,
    default=["khorig"],
    show_default=True,
    help="Kernels in the order of their boots, as for 'linux run'; 'khorig' alone is three "
    "of them. May be repeated; 'all' is one chain of each direction.",
)
@click.option(
    "--machine",
    type=NameOf("machine", lambda: [m.name for m in MACHINES]),
    default=",".join(DEFAULT_MACHINES),
    show_default=True,
)
@click.option(
    "--boot",
    type=NameOf("boot", lambda: BOOTS),
    default=RunSpec.boot,
    show_default=True,
    help="uefi adds the memory of the runtime services, where khorig comes first.",
)
@click.option(
    "--class",
    "classes",
    type=NameOf("class", _class_names),
    help="Only these owners.  [default: all]",
)
@click.option(
    "--seed",
    type=Seed(),
    default=f"{RunSpec.seed:#x}",
    show_default=True,
    help="Decides which page and which byte, and every random choice of the guest.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for artifacts.  [default: out]",
)
@click.option(
    "--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Runs side by side."
)
@click.option("--verbose", "-v", is_flag=True, help="Show what was found, too.")
@click.option("--json", "as_json", is_flag=True, help="Print it all as JSON, the rest to stderr.")
def teeth(
    chains: Sequence[str],
    machine: Sequence[str],
    boot: Sequence[str],
    classes: tuple[str, ...] | None,
    seed: int,
    **options: Any,
) -> int:
    """Flip one bit of handed-over memory at every stop at which that is wrong, for every kind of
    owner, in a run each. Each has to end as FAIL, and what it says first has to name the page and
    whose it is.

    \b
      khorig teeth                                 khorig alone, on x86_64 and arm64
      khorig teeth --chain linux-7.3,khorig --machine q35 --class memblock,kho_test-folio
      khorig teeth --chain all                     every direction

    A change that was not found ends with status 1. What cannot be found yet is listed with the
    reason, and is not tried.
    """
    specs = [
        _spec(chain, name, start, seed)
        for chain, name, start in itertools.product(_kernels(chains), machine, boot)
    ]
    return _try(specs, classes or tuple(_class_names()), options)


def _kernels(chains: Sequence[str]) -> list[tuple[str, ...]]:
    from khorig.linux.teeth import CHAINS

    found: list[tuple[str, ...]] = []
    for chain in chains:
        kernels = tuple(name for name in chain.split(",") if name)
        found += CHAINS if chain == _ALL else (kernels,)
    for kernels in found:
        for name in kernels:
            if name != "khorig" and not name.startswith("linux-") and "/" not in name:
                raise click.UsageError(f"'{name}' is no kernel; khorig, linux-VERSION or a path")
        if len(kernels) < 2 and kernels != ("khorig",):
            raise click.UsageError("a chain has at least two kernels, or is khorig alone")
    return list(dict.fromkeys(found))


def _spec(kernels: tuple[str, ...], machine: str, boot: str, seed: int) -> RunSpec:
    from khorig.linux.teeth import spec_of

    if boot == "uefi" and kernels[0] != "khorig":
        raise click.UsageError("firmware starts khorig: a chain from uefi has that first")
    return spec_of(kernels, machine_named(machine), boot, seed)


def _try(specs: Sequence[RunSpec], classes: Sequence[str], options: dict[str, Any]) -> int:
    from khorig.linux.teeth import Teeth
    from khorig.out.session_documents import SessionDocuments
    from khorig.out.teeth import TeethRenderer, score_lines, teeth_document
    from khorig.run.session import Session
    from khorig.vm.cancellation import Cancellation

    cancellation = Cancellation()
    cancellation.install()
    people = sys.stderr if options["as_json"] else sys.stdout
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
        if options["as_json"]:
            click.echo(teeth_document(attempts), nl=False)
    if cancellation.signal_number is not None:
        return exit_codes.SIGNAL + cancellation.signal_number
    if failed:
        click.echo("nothing was damaged: without damage not every run passes", file=people)
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
