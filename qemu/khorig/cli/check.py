# SPDX-License-Identifier: BSD-3-Clause
"""`khorig check`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.dump_options import Unusable, dump_options, json_option, opened
from khorig.cli.verb import Verb

_SHOWN = 4  # violations of a rule
_SEQUENCE = ("ABSENT", "OK", "WARNING", "FAILED")


@click.command(cls=Verb, short_help="Check the handover in a dump against every rule.")
@dump_options
@click.option(
    "--all", "-a", "everything", is_flag=True, help="Include inapplicable rules; do not truncate."
)
@json_option
def check(
    dump: Path,
    fdt: int | None,
    generation: int | None,
    machine: str | None,
    everything: bool,
    as_json: bool,
) -> int:
    """Check the handover in DUMP against every rule. 'khorig explain ID' explains a rule.

    \b
    Exit status: 0 consistent; 1 broken; 2 no dump, or no handover in it.
    """
    from khorig.kho.snapshot import NoHandover, find_snapshot
    from khorig.out.inspect.document import outcome_document
    from khorig.rules import check as checks
    from khorig.rules.outcome import Outcome, Status

    with opened(dump, machine) as source:
        try:
            snapshot = find_snapshot(source, fdt, generation)
            root, outcomes = snapshot.chosen, checks.check(snapshot)
        except NoHandover as error:
            named = [c for c in error.candidates if c.error is not None]
            if not named:
                raise Unusable(str(error)) from error
            root, outcomes = named[0], checks.check_unreadable(named[0])
    status = exit_codes.FAIL if checks.is_broken(outcomes) else exit_codes.PASS
    if as_json:
        found = [outcome_document(outcome) for outcome in outcomes]
        document = {"schema": 1, "root": hex(root.address), "status": status, "rules": found}
        click.echo(json.dumps(document, indent=1))
        return status

    def show(outcome: Outcome) -> None:
        colour = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "red"}
        label = click.style(f"{outcome.status.value:<8}", fg=colour.get(outcome.status))
        click.echo(f"{label}{outcome.rule.id}  {outcome.rule.title}")
        shown = len(outcome.violations) if everything else _SHOWN
        for violation in outcome.violations[:shown]:
            owner = f"  ({violation.owner})" if violation.owner else ""
            click.echo(f"        {violation.address:#018x}  {violation.text}{owner}")
        if len(outcome.violations) > shown:
            click.echo(f"        and {len(outcome.violations) - shown} more")

    click.echo(f"root {root.address:#018x}: {root.state}")
    # Failures last, next to the prompt.
    for outcome in sorted(outcomes, key=lambda o: _SEQUENCE.index(o.status.name)):
        if everything or outcome.status is not Status.ABSENT:
            show(outcome)
    counts = {kind: sum(o.status is kind for o in outcomes) for kind in Status}
    click.echo(
        f"{counts[Status.OK]} ok, {counts[Status.WARNING]} warnings, "
        f"{counts[Status.FAILED]} failed, "
        f"{counts[Status.ABSENT]} not applicable"
    )
    return status
