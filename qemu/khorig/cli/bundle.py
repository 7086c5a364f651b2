# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bundle`"""

from __future__ import annotations

from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.types import Size
from khorig.cli.verb import Verb
from khorig.mem.untrusted import Untrusted
from khorig.run.bundle.make import DUMPS_BYTES, SUFFIX, make_bundle


@click.command(cls=Verb, short_help="Pack a run into one file for another machine.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"File to write.  [default: the run's name with {SUFFIX}]",
)
@click.option(
    "--dumps",
    type=Size(),
    default=DUMPS_BYTES,
    show_default=f"{DUMPS_BYTES >> 20}M",
    help="At most so much guest RAM at stops, packed.",
)
def bundle(folder: Path, output: Path | None, dumps: int) -> int:
    """Pack the run that left the folder DIR into one file with all that another machine needs for
    'khorig rerun': kernels, archive, arguments, versions, events, console, verdict, and guest RAM
    at the stops as changed pages. What is left out is printed. No path of this machine is in it.
    """
    from khorig.out.text import relative, size
    from khorig.run.run_folder import find_run_folder

    run = find_run_folder(folder)
    path = output or Path(run.resolve().name + SUFFIX)
    try:
        made = make_bundle(run, path, dumps)
    except Untrusted as error:
        raise click.UsageError(f"{run}: {error}") from error
    click.echo(f"{relative(made.path)}: {size(made.size)}, {made.members} members")
    for line in made.left_out:
        click.echo(f"  left out: {line}")
    return exit_codes.PASS
