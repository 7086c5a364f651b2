# SPDX-License-Identifier: BSD-3-Clause
"""`khorig catalogue`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.run_options import run_options
from khorig.cli.suggest import unknown
from khorig.cli.types import NameOf
from khorig.cli.verb import Verb, VerbGroup
from khorig.rules.bug import Bug, State
from khorig.rules.bugs import bugs
from khorig.rules.way import Way
from khorig.run.artifacts import default_out

_FOUND = "found"  # in place of an id: every bug that is


class _Catalogue(VerbGroup):
    """Takes the id of a bug where a verb could be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError."""
        if args and args[0] not in self.list_commands(ctx):
            return "show", _show, args
        return super().resolve_command(ctx, args)


def _complete(context: click.Context, parameter: click.Parameter, part: str) -> list[str]:
    return [id for id in bugs() if id.startswith(part.upper())]


def _bug(id: str) -> Bug:
    found = bugs().get(id.upper())
    if found is None:
        raise unknown("bug", id.upper(), list(bugs()))
    return found


@click.group(
    cls=_Catalogue,
    invoke_without_command=True,
    short_help="List real bugs, and make them.",
    subcommand_metavar="[ID | run ID...]",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output (schema 1).")
@click.pass_context
def catalogue(context: click.Context, as_json: bool) -> int:
    """List the real bugs of KHO, kexec and live update that the rig knows: how each is made, and
    which rule finds it.

    \b
      khorig catalogue                     all of them, by phase
      khorig catalogue R4                  one, whole
      khorig catalogue run R4              make it: control and defective run
      khorig catalogue run found --machine virt
    """
    from khorig.out.catalogue import catalogue_document, catalogue_lines

    if context.invoked_subcommand is None:
        if as_json:
            click.echo(catalogue_document(bugs()), nl=False)
        else:
            for line in catalogue_lines(bugs()):
                click.echo(line)
    return exit_codes.PASS


@click.command("show", cls=Verb)
@click.argument("id", metavar="ID", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output (schema 1).")
def _show(id: str, as_json: bool) -> int:
    """Print one row."""
    from khorig.out.catalogue import bug_lines, bug_record

    bug = _bug(id)
    if as_json:
        click.echo(json.dumps({"schema": 1, **bug_record(bug)}, indent=1))
    else:
        for line in bug_lines(bug):
            click.echo(line)
    return exit_codes.PASS


@catalogue.command("run", short_help="Make bugs, and see whether they are found.")
@click.argument("ids", nargs=-1, required=True, metavar="ID...|found", shell_complete=_complete)
@click.option("--machine", type=NameOf("machine", lambda: _machines()), help="On these only.")
@run_options("out")
def run(ids: Sequence[str], machine: tuple[str, ...] | None, out: Path | None) -> int:
    """Make bugs of the catalogue: a control, which must pass, and a run with the defect, which must
    fail as the catalogue says.

    Exit status: 0 all were found; 1 one was not, or its control did not pass; 3 QEMU or host
    trouble, or a Linux that is not built; 4 nothing ran, because tests make these bugs, or nobody.
    """
    chosen = [bug for id in ids for bug in _chosen(id)]
    statuses: list[int] = []
    for bug in dict.fromkeys(chosen):
        statuses += _make(bug, machine, out or default_out())
    if not statuses:
        return exit_codes.NOTHING_RAN
    return next((s for s in (exit_codes.FAIL, exit_codes.INFRA) if s in statuses), exit_codes.PASS)


def _machines() -> Sequence[str]:
    from khorig.vm.machines import MACHINES

    return tuple(machine.name for machine in MACHINES)


def _chosen(id: str) -> list[Bug]:
    if id.lower() == _FOUND:
        return [bug for bug in bugs().values() if bug.state is State.FOUND]
    return [_bug(id)]


def _make(bug: Bug, machines: tuple[str, ...] | None, out: Path) -> list[int]:
    from khorig.api.bug_maker import BugMaker
    from khorig.api.rig import Rig

    if not bug.ways:
        click.echo(f"{bug.id}: {bug.state.value}: {bug.reason}")
    statuses: list[int] = []
    maker = BugMaker(Rig(out))
    for way in bug.ways:
        if not way.is_run:
            click.echo(f"{bug.id}: {way.means}: {_command(way)}")
            continue
        for machine in way.machines:
            if machines is None or machine in machines:
                statuses.append(_make_one(maker, bug, way, machine))
    return statuses


def _make_one(maker: Any, bug: Bug, way: Way, machine: str) -> int:
    made = maker.make(bug, way, machine)
    click.echo(f"{bug.id} {machine}: {way.means}")
    click.echo(f"  control    {made.control.verdict.value}  {made.control.directory}")
    if made.done:
        click.echo(f"  damage     {made.done}")
    if made.defective is not None:
        first = made.first
        found = f"{first.rule} in generation {first.generation} {first.stop}" if first else ""
        verdict = made.defective.verdict.value
        click.echo(f"  defective  {verdict}  {found}  {made.defective.directory}")
        if first:
            click.echo(f"             {first.what}")
    click.echo("  found" if made.is_found else f"  NOT FOUND: {made.why_not}")
    if made.is_skipped:
        return exit_codes.INFRA
    return exit_codes.PASS if made.is_found else exit_codes.FAIL


def _command(way: Way) -> str:
    if way.mutant:
        room, _, id = way.mutant.partition("/")
        return f"scripts/khorig mutants --of {room} {id}"
    return f"python3 -m pytest {way.test}"
