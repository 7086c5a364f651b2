# SPDX-License-Identifier: BSD-3-Clause
"""`khorig report`"""

from __future__ import annotations

from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.verb import Verb


@click.command(cls=Verb, short_help="Write the HTML report of earlier runs.")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a picture of the printed results of failed runs instead.",
)
def report(folder: Path, svg: Path | None) -> int:
    """Write DIR/report.html, a self-contained page, and DIR/trace.json for ui.perfetto.dev. DIR is
    the folder of a session, such as out/latest, or of one run in it.

    \b
      khorig report out/latest
      khorig report out/latest/handover/x86_64-q35
      khorig report out/latest --svg failed.svg
    """
    from khorig.out.report.page import write_picture, write_report

    if svg is not None:
        write_picture(folder, svg)
        return exit_codes.PASS
    click.echo(write_report(folder))
    return exit_codes.PASS
