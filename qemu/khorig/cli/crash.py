# SPDX-License-Identifier: BSD-3-Clause
"""--crash: a Linux of a chain panics, and the next one is its crash kernel."""

from __future__ import annotations

from typing import Any, Sequence

import click

from khorig.guest.chain_run import is_linux


def crash_option(command: Any) -> Any:
    """Adds --crash."""
    return click.option(
        "--crash",
        type=click.IntRange(1),
        metavar="N",
        help="Generation N, the last but one, loads the last kernel as its crash kernel, and "
        "panics.",
    )(command)


def checked_crash(kernels: Sequence[str], generation: int | None) -> int:
    """The --crash of `khorig linux run`, 0 for none. Raises UsageError."""
    if generation is None:
        return 0
    if generation != len(kernels) - 1:
        what = f"generation {len(kernels) - 1}, the last but one, is the one that can panic"
        raise click.UsageError(f"--crash {generation}: {what}; a crash kernel loads no other")
    for number in (generation, generation + 1):
        if not is_linux(name := kernels[number - 1]):
            raise click.UsageError(
                f"--crash {generation}: generation {number} is {name}, not Linux"
            )
    return generation
