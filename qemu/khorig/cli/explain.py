# SPDX-License-Identifier: BSD-3-Clause
"""`khorig explain`"""

from __future__ import annotations

import textwrap

import click

from khorig.cli import exit_codes
from khorig.cli.suggest import unknown
from khorig.cli.verb import Verb

_WIDTH = 96


def _complete(context: click.Context, parameter: click.Parameter, part: str) -> list[str]:
    from khorig.rules.registry import RULES

    return [id for id in RULES if id.startswith(part.upper())]


@click.command(cls=Verb, short_help="Explain a rule.")
@click.argument("id", required=False, metavar="[KHR-Innn]", shell_complete=_complete)
def explain(id: str | None) -> int:
    """Explain a rule: its meaning, the reason for it, real bugs that broke it, and what to do next.
    Without an id, list all rules."""
    from khorig.rules.bugs import bugs
    from khorig.rules.registry import RULES

    if id is None:
        for rule in RULES.values():
            click.echo(f"{rule.id}  {rule.title}")
        return exit_codes.PASS
    found = RULES.get(id.upper())
    if found is None:
        raise unknown("rule", id.upper(), list(RULES))
    click.echo(f"{found.id}: {found.title}  (severity: {found.level.value})")
    if distribution := RULES.distribution(found.id):
        click.echo(f"from {distribution}")
    click.echo(f"checked on {found.kind.value}")
    for label, text in (
        ("rule", found.meaning),
        ("why", found.reason),
        *(("bug", f"{bug}: {bugs()[bug].what} ({bugs()[bug].origin})") for bug in found.bugs),
        ("next", found.next_step),
        ("needs", found.needs),
    ):
        if text:
            click.echo(textwrap.fill(f"{label:<7}{text}", _WIDTH, subsequent_indent=" " * 7))
    return exit_codes.PASS
