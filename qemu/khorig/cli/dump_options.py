# SPDX-License-Identifier: BSD-3-Clause
"""What every verb that reads a dump takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, TypeVar

import click

from khorig.cli import exit_codes
from khorig.cli.suggest import unknown
from khorig.cli.types import Number
from khorig.mem.formats import Dump, UnreadableDump
from khorig.mem.formats.sidecar import sidecar_path
from khorig.mem.ram_layouts import RAM_LAYOUTS
from khorig.vm.live_dump import open_memory

_Function = TypeVar("_Function", bound=Callable[..., Any])


machine_option = click.option(
    "--machine",
    metavar="MACHINE",
    help="Machine a raw image came from, when there is no description (.json) beside it.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable output (schema 1)."
)


def dump_options(function: _Function) -> _Function:
    """DUMP, --fdt, --generation and --machine."""
    for option in (
        machine_option,
        click.option(
            "--generation",
            type=click.IntRange(0),
            metavar="N",
            help="Choose the handover after N jumps, when there are several.",
        ),
        click.option(
            "--fdt", type=Number(), metavar="ADDRESS", help="Physical address of the root FDT."
        ),
        click.argument(
            "dump", metavar="DUMP", type=click.Path(exists=True, dir_okay=False, path_type=Path)
        ),
    ):
        function = option(function)
    return function


class Unusable(click.ClickException):
    """A dump that the verb can do nothing with."""

    exit_code = exit_codes.USAGE


def _show_progress(done: int, total: int) -> None:
    """How much of a compressed file is unpacked, on a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\runpacking {done * 100 // total:3} %", nl=done == total, err=True)


def opened(path: Path, machine: str | None) -> Dump:
    """The dump. Raises Unusable when the file is none, UsageError for an unknown machine."""
    source = click.get_current_context().get_parameter_source("machine")
    known = list(RAM_LAYOUTS)
    if source is click.core.ParameterSource.ENVIRONMENT:
        # $KHORIG_MACHINE is for runs; it says nothing of a dump that says it itself.
        machine = machine if machine in known and sidecar_path(path) is None else None
    elif machine is not None and machine not in known:
        raise unknown("machine", machine, known)
    try:
        return open_memory(path, machine, _show_progress)
    except UnreadableDump as error:
        raise Unusable(str(error)) from error
