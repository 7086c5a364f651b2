# SPDX-License-Identifier: BSD-3-Clause
"""What every verb that reads a dump takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, TypeVar

import click

from khorig.cli import exit_codes
from khorig.cli.suggest import unknown
from khorig.mem.formats import Dump, UnreadableDump
from khorig.vm.live_dump import open_memory
from khorig.vm.machines import MACHINES

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Address(click.ParamType):
    """A number, decimal or with 0x."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(str(value), 0)
        except ValueError:
            self.fail(f"{value!r} is no number; write 0x12345000", param, ctx)


def dump_options(function: _Function) -> _Function:
    """DUMP, --fdt, --generation and --machine."""
    for option in (
        click.option(
            "--machine", metavar="MACHINE", help="Whose RAM an image without description is."
        ),
        click.option(
            "--generation",
            type=click.IntRange(0),
            metavar="N",
            help="The handover that N jumps led to, when there are several.",
        ),
        click.option(
            "--fdt", type=_Address(), metavar="ADDRESS", help="Physical address of the root page."
        ),
        click.argument(
            "dump", metavar="DUMP", type=click.Path(exists=True, dir_okay=False, path_type=Path)
        ),
    ):
        function = option(function)
    return function


class _Unreadable(click.ClickException):
    exit_code = exit_codes.USAGE

    def show(self, file: Any = None) -> None:
        click.echo(f"khorig: {self.message}", err=True)


def _show_progress(done: int, total: int) -> None:
    """How much of a compressed file is unpacked, on a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\runpacking {done * 100 // total:3} %", nl=done == total, err=True)


def opened(path: Path, machine: str | None) -> Dump:
    """The dump. Ends the verb with status 2 when the file is none."""
    if machine is not None and machine not in {m.name for m in MACHINES}:
        raise unknown("machine", machine, [m.name for m in MACHINES])
    try:
        return open_memory(path, machine, _show_progress)
    except UnreadableDump as error:
        raise _Unreadable(str(error)) from error
