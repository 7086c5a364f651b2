# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bisect`"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from khorig.cli import exit_codes
from khorig.cli.linux import chain_spec, count_option, fitting_machines
from khorig.cli.run_options import machines_of, run_options
from khorig.cli.user_space import archs_of_programs, program_option
from khorig.cli.verb import Verb
from khorig.linux.bisect_plan import UNDER_TEST
from khorig.run.artifacts import default_out, hold_session, new_session_folder

if TYPE_CHECKING:
    from khorig.linux.bisect import BisectResult
    from khorig.linux.bisect_plan import BisectPlan

_RULE = re.compile(r"KHR-\w*", re.IGNORECASE)
_TIMEOUT_S = 300.0
STEP = (sys.executable, "-m", "khorig.cli.bisect_step")


@click.command(cls=Verb, takes_qemu=True, short_help="Find the commit that broke the handover.")
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Work tree of git with Linux's source; it is not touched.",
)
@click.option("--good", metavar="REVISION", help="A commit that passes.")
@click.option("--bad", metavar="REVISION", help="A descendant that fails.")
@click.option(
    "--chain",
    default=f"{UNDER_TEST},khorig,{UNDER_TEST}",
    show_default=True,
    help=f"Kernels in boot order, as in 'linux run'; '{UNDER_TEST}' is the commit under test.",
)
@click.option(
    "--match",
    default="",
    metavar="RULE|TEXT",
    help="Only a failure that violates this rule, or has this text in its cause, is bad; commits "
    "that fail without it are skipped.",
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Runs of each commit: bad if one fails, good if all pass.",
)
@click.option(
    "--initrd",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="As in 'linux run'.",
)
@program_option
@click.option("--linux-append", multiple=True, metavar="[N:]OPTION", help="As in 'linux run'.")
@click.option(
    "--jobs", "-j", type=click.IntRange(1), default=2, show_default=True, help="As make's -j."
)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Go on with the bisection of which these are the artifacts, instead of a new one.",
)
@count_option
@run_options(
    *("arch", "machine", "boot", "smp", "seed", "stops", "append", "out", "keep"),
    mem="1G",
    timeout=_TIMEOUT_S,
)
@click.pass_obj
def bisect(extra_qemu: tuple[str, ...], **options: Any) -> int:
    """Find the commit of Linux that broke a handover, by `git bisect run`.

    Each commit is built incrementally, in a work tree of the cache, and run as 'linux run' does.
    Both ends are tested first. A commit that does not build, or that trouble of the host ends, is
    skipped.

    \b
    Exit status: 0 found; 1 not found: an end is not what it is said to be, or skipped commits leave
    several; 2 usage; 3 trouble of the host, or an end that cannot be tested; 128+N signal N.
    """
    from khorig.linux.bisect import Bisection
    from khorig.linux.bisect_plan import read_plan, write_plan
    from khorig.linux.bisect_repository import NotBisectable
    from khorig.linux.build import missing_packages
    from khorig.vm.errors import InfraError

    try:
        folder: Path | None = options["resume"]
        plan = read_plan(folder) if folder is not None else _plan(options, extra_qemu)
        if missing := missing_packages():
            command = f"apt-get install --no-install-recommends {' '.join(missing)}"
            raise InfraError("missing packages for building Linux", (command,))
        if folder is None:
            folder = new_session_folder(options["out"] or default_out())
            write_plan(plan, folder)
        held = hold_session(folder)
        try:
            show = functools.partial(_show, plan, folder)
            result = Bisection(plan, folder, STEP, click.echo).run(show)
        except BaseException:
            click.echo(f"to go on: scripts/khorig bisect --resume {folder}", err=True)
            raise
        finally:
            os.close(held)
    except NotBisectable as error:
        raise click.UsageError("; ".join((error.what, *error.evidence))) from error
    return exit_codes.PASS if result.first_bad is not None else exit_codes.FAIL


def _plan(options: dict[str, Any], extra_qemu: tuple[str, ...]) -> BisectPlan:
    """Raises UsageError, NotBisectable."""
    from khorig.linux.bisect_plan import BisectPlan
    from khorig.linux.bisect_repository import Repository, check_range

    for name in ("source", "good", "bad"):
        if options[name] is None:
            raise click.UsageError(f"missing option '--{name}' (or --resume FOLDER)")
    names = tuple(options["chain"].split(","))
    if UNDER_TEST not in names:
        raise click.UsageError(f"--chain {options['chain']}: no '{UNDER_TEST}', the kernel to test")
    # Steps run in a folder of their own.
    names = tuple(str(Path(name).resolve()) if "/" in name else name for name in names)
    # To the checks it is a Linux of some name.
    checked = tuple(f"linux-{name}" if name == UNDER_TEST else name for name in names)
    machines = fitting_machines(
        names,
        machines_of(options["arch"], options["machine"]),
        archs_of_programs(options, checked),
    )
    if len(machines) > 1 and options["machine"] is not None:
        raise click.UsageError("--machine: a bisection takes one")
    if len(options["boot"]) != 1:
        raise click.UsageError("--boot: a bisection takes one")
    spec = chain_spec(options, checked, machines[0], extra_qemu, options["boot"][0])
    pinned = zip(names, spec.kernels)
    kernels = tuple(name if name == UNDER_TEST else build for name, build in pinned)
    repository = Repository(options["source"])
    good, bad = (repository.commit(options[name]) for name in ("good", "bad"))
    check_range(repository, good, bad)
    return BisectPlan(
        source=str(repository.folder),
        good=good,
        bad=bad,
        spec=dataclasses.replace(spec, kernels=kernels),
        match=_match(options["match"]),
        repeat=options["repeat"],
        jobs=options["jobs"],
        keep=options["keep"],
    )


def _match(text: str) -> str:
    """Raises UsageError for what looks like a rule and is none."""
    from khorig.cli.suggest import unknown
    from khorig.rules.registry import RULES

    if not _RULE.fullmatch(text):
        return text
    if text.upper() not in RULES:
        raise unknown("rule", text.upper(), RULES)
    return text.upper()


def _show(plan: BisectPlan, folder: Path, result: BisectResult) -> None:
    from khorig.linux.bisect_repository import Repository
    from khorig.out.bisect_text import bisect_lines

    repository = Repository(Path(plan.source))
    if result.first_bad is not None:
        form = "--format=%s%n%an <%ae>, %ad"
        about = repository.git("log", "-1", "--date=short", form, result.first_bad.commit)
        described = about.splitlines()
    else:
        described = [repository.describe(commit) for commit in result.candidates]
    for line in bisect_lines(result, folder, described):
        click.echo(line)
