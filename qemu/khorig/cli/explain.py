# SPDX-License-Identifier: BSD-3-Clause
"""`khorig explain`"""

from __future__ import annotations

import textwrap

import click

from khorig.cli import exit_codes
from khorig.cli.near import unknown

_WIDTH = 96


@click.command(short_help="Say what an invariant means and what breaks it.")
@click.argument("id", required=False, metavar="[KHR-Innn]")
def explain(id: str | None) -> int:
    """Say what an invariant means, why it exists, which real bugs broke it, and how to go on.
    Without an id: all of them, one line each."""
    from khorig.rules.bugs import BUGS
    from khorig.rules.registry import INVARIANTS

    if id is None:
        for invariant in INVARIANTS.values():
            click.echo(f"{invariant.id}  {invariant.title}")
        return exit_codes.PASS
    found = INVARIANTS.get(id.upper())
    if found is None:
        raise unknown("invariant", id, list(INVARIANTS))
    click.echo(f"{found.id}: {found.title}  ({found.level.value} when it does not hold)")
    for label, text in (
        ("what", found.meaning),
        ("why", found.reason),
        *(("bug", f"{bug}: {BUGS[bug]}") for bug in found.bugs),
        ("go on", found.next_step),
        ("needs", found.needs),
    ):
        if text:
            click.echo(textwrap.fill(f"{label:<7}{text}", _WIDTH, subsequent_indent=" " * 7))
    return exit_codes.PASS
