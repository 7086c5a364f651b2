# SPDX-License-Identifier: BSD-3-Clause
"""`khorig diff`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.dump_options import opened
from khorig.cli.types import NameOf
from khorig.cli.verb import Verb

_TROUBLE = 2
_CLASSES = ("preserved", "tracker", "scratch", "kernel", "free", "unknown")  # PageClass


@click.command(cls=Verb, short_help="Say what is different in two dumps, and whether it may be.")
@click.argument("a", metavar="A", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("b", metavar="B", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--only",
    type=NameOf("class", lambda: _CLASSES),
    help=f"Compare only pages of these classes: {', '.join(_CLASSES)}.",
)
@click.option(
    "--runs",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    metavar="N",
    help="Runs of bytes to show.",
)
@click.option("--machine", metavar="MACHINE", help="Whose RAM images without description are.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def diff(
    a: Path,
    b: Path,
    only: tuple[str, ...] | None,
    runs: int,
    machine: str | None,
    as_json: bool,
) -> int:
    """Compare two dumps of a machine by what its memory was used for in A.

    Pages that A hands over, and that B still has the same handover for, must be the same to the
    byte. Scratch, free memory and what the kernel keeps for itself may change. Ends with 0 when
    nothing is different, 1 when something is, 2 for trouble.

    \b
      khorig diff gen1.sealed.ram.zst gen2.entry.ram.zst
      khorig diff --only preserved,tracker before.elf after.elf && echo nothing was lost
    """
    from khorig.out.diff_document import difference_document
    from khorig.out.diff_text import difference_lines
    from khorig.rules.difference import CannotCompare, compare_dumps
    from khorig.rules.page_classes import PageClass

    with opened(a, machine) as mine, opened(b, machine) as theirs:
        try:
            difference = compare_dumps(mine, theirs)
        except CannotCompare as error:
            click.echo(f"khorig: {error}", err=True)
            return _TROUBLE
        if only is not None:
            difference = difference.only([PageClass(name) for name in only])
        if as_json:
            click.echo(json.dumps(difference_document(difference, runs), indent=1))
        else:
            click.echo("\n".join(difference_lines(difference, runs)))
        return exit_codes.PASS if difference.same else exit_codes.FAIL
