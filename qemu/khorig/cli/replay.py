# SPDX-License-Identifier: BSD-3-Clause
"""`khorig replay`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from khorig.cli.again import run_again
from khorig.cli.run_options import run_options
from khorig.cli.session import session_options
from khorig.cli.verb import Verb
from khorig.mem.untrusted import Untrusted


@click.command(cls=Verb, short_help="Do a run again from its folder; --gdb stops it.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@run_options("out", "keep", "verbose", "json")
def replay(folder: Path, **options: Any) -> int:
    """Do the run again that left the folder DIR, with the kernels, the seed and the arguments of
    then, and print whether verdict, rule and cause are the same.

    A kernel that is gone or has changed since is an error: rerun.sh in DIR uses those of today.

    \b
    Exit status: 0 the same; 1 another verdict, rule or cause; 3 not repeated.
    """
    from khorig.run.run_folder import find_run_folder, read_run_folder

    try:
        run = read_run_folder(find_run_folder(folder))
    except Untrusted as error:
        raise click.UsageError(f"{folder}: {error}") from error
    return run_again(run, session_options(options, record=False))
