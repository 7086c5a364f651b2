# SPDX-License-Identifier: BSD-3-Clause
"""`khorig rerun`"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, TypeVar

import click

from khorig.cli.again import kind_of, run_again
from khorig.cli.run_options import run_options
from khorig.cli.session import session_options
from khorig.cli.verb import Verb
from khorig.run.bundle.errors import BrokenBundle
from khorig.run.run_folder import RunFolder

_Result = TypeVar("_Result")


@click.command(cls=Verb, short_help="Do the run of a bundle here, and compare.")
@click.argument(
    "bundle", metavar="BUNDLE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--trust-qemu-arguments",
    is_flag=True,
    help="Pass the bundle's own arguments to QEMU, which can read and write files here.",
)
@click.option(
    "--unpack",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the unpacked bundle in the new folder DIR, with guest RAM at the stops of the first "
    "run.",
)
@run_options("out", "keep", "verbose", "json")
def rerun(bundle: Path, trust_qemu_arguments: bool, unpack: Path | None, **options: Any) -> int:
    """Do the run of BUNDLE (from 'khorig bundle') again on this machine, with the kernels in it,
    and print whether verdict, rule and cause are the same.

    A bundle is not trusted: it is checked before anything is run, and writes nothing outside of the
    folder for artifacts.

    \b
    Exit status: 0 the same; 1 another verdict, rule or cause; 2 a broken bundle; 3 not repeated.
    """
    chosen = session_options(options, record=False)
    if unpack is None:
        with tempfile.TemporaryDirectory(prefix="khorig.") as scratch:
            run = _open(bundle, Path(scratch), trust_qemu_arguments)
            return run_again(run, kind_of(run), chosen)
    from khorig.run.bundle.dumps import FOLDER, restore_dumps

    unpack.mkdir(parents=True)
    try:
        run = _open(bundle, unpack, trust_qemu_arguments)
        dumps = unpack / FOLDER
        if dumps.is_dir():
            _try(bundle, lambda: restore_dumps(dumps, run.spec.memory))
    except BaseException:
        shutil.rmtree(unpack)
        raise
    return run_again(run, kind_of(run), chosen)


def _open(bundle: Path, folder: Path, trust: bool) -> RunFolder:
    """Raises UsageError for a bundle that is broken, or asks for too much."""
    from khorig.run.bundle.open import open_bundle

    run, _ = _try(bundle, lambda: open_bundle(bundle, folder))
    program = ("--qemu", run.spec.qemu) if os.sep in run.spec.qemu else ()
    if (asked := (*run.spec.machine_options, *program, *run.spec.extra_qemu)) and not trust:
        words = shlex.join(asked)
        raise click.UsageError(
            f"{bundle} has arguments for QEMU ({words}), which can read and write files of this "
            "machine; --trust-qemu-arguments passes them on"
        )
    return run


def _try(bundle: Path, action: Callable[[], _Result]) -> _Result:
    try:
        return action()
    except BrokenBundle as error:
        raise click.UsageError(f"{bundle}: {error}") from error
