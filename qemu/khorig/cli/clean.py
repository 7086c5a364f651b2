# SPDX-License-Identifier: BSD-3-Clause
"""`khorig clean`"""

from __future__ import annotations

from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.types import OutFolder
from khorig.cli.verb import Verb


@click.command(cls=Verb, short_help="Remove artifacts of earlier runs.")
@click.option("--out", type=OutFolder(), help="Folder for artifacts.  [default: out]")
@click.option(
    "--newest",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    metavar="N",
    help="Keep the N newest sessions.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
def clean(out: Path | None, newest: int, dry_run: bool) -> int:
    """Remove the folders of earlier sessions (out/<UTC time>) and out/dry-run.

    The newest session, which out/latest points to, stays unless --newest 0. So do sessions that are
    still running, and whatever khorig did not make.
    """
    from khorig.run.artifacts import default_out, remove_sessions

    removed, size = remove_sessions(out or default_out(), newest, dry_run)
    for folder in removed:
        click.echo(folder)
    verb = "would free" if dry_run else "freed"
    click.echo(f"{len(removed)} folders, {verb} {size >> 20} MiB")
    return exit_codes.PASS
