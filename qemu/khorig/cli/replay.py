# SPDX-License-Identifier: BSD-3-Clause
"""`khorig replay`"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from khorig.cli.again import kind_of, run_again
from khorig.cli.run_options import run_options
from khorig.cli.session import session_options
from khorig.cli.types import Number, StopPlace
from khorig.cli.verb import Verb
from khorig.mem.untrusted import Untrusted
from khorig.run.sequence import STOPS


@click.command(cls=Verb, short_help="Do a run again from its folder; --gdb stops it.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--at", type=StopPlace(STOPS), help="With --gdb: stop there, before the host looks at memory."
)
@click.option(
    "--before-write",
    type=Number(),
    metavar="ADDRESS",
    help="With --gdb: stop before the last store to 8 bytes at a physical address.",
)
@click.option(
    "--reverse",
    is_flag=True,
    help="With --gdb: record the run, stop the recording at its last stop or --at, and let gdb go "
    "back (reverse-stepi, reverse-continue).",
)
@run_options("out", "keep", "gdb", "verbose", "json")
def replay(
    folder: Path,
    at: tuple[str, int] | None,
    before_write: int | None,
    reverse: bool,
    **options: Any,
) -> int:
    """Do the run again that left the folder DIR, with the kernels, the seed and the arguments of
    then, and print whether verdict, rule and cause are the same.

    A kernel that is gone or has changed since is an error: rerun.sh in DIR uses those of today.

    With --gdb the guest stands still before its first instruction, or where --at or --before-write
    say, until gdb lets it go on; the command to attach gdb is printed. For --before-write the run
    is done twice before.

    \b
      khorig replay DIR --gdb --at entry:2
      khorig replay DIR --gdb --before-write 0x2400000
      khorig replay DIR --gdb --reverse

    \b
    Exit status: 0 the same; 1 another verdict, rule or cause; 3 not repeated.
    """
    from khorig.run.run_folder import find_run_folder, read_run_folder

    try:
        run = read_run_folder(find_run_folder(folder))
    except Untrusted as error:
        raise click.UsageError(f"{folder}: {error}") from error
    kind, chosen = kind_of(run), session_options(options, record=False)
    if chosen.gdb is None:
        if at is not None or before_write is not None or reverse:
            raise click.UsageError("--at, --before-write and --reverse need --gdb")
        return run_again(run, kind, chosen)
    if before_write is not None and (at is not None or reverse):
        raise click.UsageError("--before-write excludes --at and --reverse")
    if reverse:
        from khorig.cli.reversing import run_backwards

        return run_backwards(run, kind, chosen, chosen.gdb, at)
    from khorig.cli.stopping import debugger_for

    debugger = debugger_for(run, kind, chosen, chosen.gdb, at, before_write)
    return run_again(run, kind, dataclasses.replace(chosen, debugger=debugger))
