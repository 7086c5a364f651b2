# SPDX-License-Identifier: BSD-3-Clause
"""`khorig explain`"""

from __future__ import annotations

import textwrap

import click

from khorig.cli import exit_codes
from khorig.cli.near import unknown

_WIDTH = 96


@click.command(short_help="Say what a rule means and what breaks it.")
@click.argument("id", required=False, metavar="[KHR-Innn]")
def explain(id: str | None) -> int:
    """Say what a rule means, why it exists, which real bugs broke it, and how to go on.
    Without an id: all of them, one line each."""
    from khorig.rules.bugs import BUGS
    from khorig.rules.registry import RULES

    if id is None:
        for rule in RULES.values():
            click.echo(f"{rule.id}  {rule.title}")
        return exit_codes.PASS
    found = RULES.get(id.upper())
    if found is None:
        raise unknown("rule", id, list(RULES))
    click.echo(f"{found.id}: {found.title}  ({found.level.value} when it does not hold)")
    click.echo(f"looks at {found.kind.value}")
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
