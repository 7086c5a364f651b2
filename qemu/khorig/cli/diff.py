# SPDX-License-Identifier: BSD-3-Clause
"""`khorig diff`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.dump_options import Unusable, json_option, machine_option, opened
from khorig.cli.types import NameOf
from khorig.cli.verb import Verb

_CLASSES = ("preserved", "tracker", "scratch", "kernel", "free", "unknown")  # PageClass


@click.command(cls=Verb, short_help="Compare two dumps and report lost pages.")
@click.argument("a", metavar="A", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("b", metavar="B", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--only",
    type=NameOf("class", lambda: _CLASSES),
    help=f"Compare only these page classes: {', '.join(_CLASSES)}.",
)
@click.option(
    "--runs",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    metavar="N",
    help="Show at most N runs of changed bytes.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["any", "lost"]),
    default="any",
    show_default=True,
    help="What exit status 1 stands for: any difference, or one that breaks a rule.",
)
@machine_option
@json_option
def diff(
    a: Path,
    b: Path,
    only: tuple[str, ...] | None,
    runs: int,
    fail_on: str,
    machine: str | None,
    as_json: bool,
) -> int:
    """Compare two dumps of a machine, page class by page class; the classes are those of A.

    Pages that A hands over must be identical in B while B has the same handover. Scratch, free
    memory and the kernel's own may change.

    \b
    Exit status: 0 identical; 1 different, or with '--fail-on lost' a page changed that must not;
    2 the dumps cannot be compared.

    \b
      khorig diff gen1.sealed.ram.zst gen2.entry.ram.zst
      khorig diff --fail-on lost before.elf after.elf && echo nothing lost
    """
    from khorig.out.diff_document import difference_document
    from khorig.out.diff_text import difference_lines
    from khorig.rules.difference import CannotCompare, compare_dumps
    from khorig.rules.page_classes import PageClass

    with opened(a, machine) as mine, opened(b, machine) as theirs:
        try:
            difference = compare_dumps(mine, theirs)
        except CannotCompare as error:
            raise Unusable(str(error)) from error
        if only is not None:
            difference = difference.only([PageClass(name) for name in only])
        if as_json:
            click.echo(json.dumps(difference_document(difference, runs), indent=1))
        else:
            click.echo("\n".join(difference_lines(difference, runs)))
        good = difference.same if fail_on == "any" else not len(difference.lost)
        return exit_codes.PASS if good else exit_codes.FAIL
