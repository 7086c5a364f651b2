# SPDX-License-Identifier: BSD-3-Clause
"""User space of the user's own: --initrd and --run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, Mapping, Sequence

import click

from khorig.cli.appended import for_a_kernel
from khorig.guest.chain_run import is_linux, split_option
from khorig.guest.program import FORM, program_words
from khorig.vm.errors import InfraError

_SHOWN = 80  # characters of a program in a message


class _Program(click.ParamType):
    """Has blanks; in the environment each has a line of its own."""

    name = "program"
    envvar_list_splitter = "\n"


def program_option(command: Any) -> Any:
    """Adds --run."""
    return click.option(
        "--run",
        multiple=True,
        type=_Program(),
        metavar=FORM,
        help="Run a program in every Linux, or in generation N, before its jump: a file of this "
        "host, which is added with its libraries, or a path in --initrd; repeatable.",
    )(command)


def checked_programs(kernels: Sequence[str], programs: Sequence[str]) -> tuple[str, ...]:
    """The --run of `khorig linux run`, with absolute paths. Raises UsageError."""
    checked = []
    for program in programs:
        text = for_a_kernel("--run", program, kernels, is_linux, "Linux")
        try:
            first, *rest = program_words(text)
            if not os.path.isabs(first):
                first = os.path.abspath(first)
                text = shlex.join((first, *rest))
                program_words(text)
        except ValueError as error:
            raise click.UsageError(f"--run '{program[:_SHOWN]}': {error}") from None
        generation = split_option(program)[0]
        checked.append(text if generation is None else f"{generation}:{text}")
    return tuple(checked)


def archs_of_programs(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """A program of --run for each architecture. Raises UsageError."""
    if not options["run"]:
        return {}
    from khorig.linux.programs import find_programs

    initrd = checked_initrd(options["initrd"], tuple(names))
    archs: dict[str, str] = {}
    for program in checked_programs(names, options["run"]):
        words = program_words(split_option(program)[1])
        try:
            found = find_programs([words], initrd).archs
        except InfraError as error:
            raise click.UsageError("; ".join((f"--run {error.what}", *error.evidence))) from error
        archs |= {arch: str(path) for arch, path in found.items()}
    return archs


def checked_initrd(path: Path | None, kernels: tuple[str, ...]) -> str:
    """Raises UsageError for a file that no kernel would take user space from."""
    if path is None:
        return ""
    if not any(map(is_linux, kernels)):
        raise click.UsageError(f"--initrd {path}: no Linux in this chain")
    from khorig.linux.initrd import why_no_initrd

    if why := why_no_initrd(path):
        raise click.UsageError(
            f"--initrd {path}: {why} (expected a cpio archive, compressed or not)"
        )
    return str(path.resolve())
