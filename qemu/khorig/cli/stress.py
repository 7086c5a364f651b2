# SPDX-License-Identifier: BSD-3-Clause
"""--stress"""

from __future__ import annotations

from typing import Any, Sequence

import click

from khorig.cli.appended import for_a_kernel
from khorig.guest.chain_run import is_linux

_EVERY = "all"


def stress_option(command: Any) -> Any:
    """Adds --stress."""
    return click.option(
        "--stress",
        is_flag=False,
        flag_value=_EVERY,
        metavar="[N,...]",
        help="Before its jump every Linux, or generation N, touches all free memory, splits and "
        "merges huge pages and takes CPUs off and on; then what is preserved is verified again.",
    )(command)


def stressed(kernels: Sequence[str], value: str | None) -> tuple[int, ...]:
    """The generations that --stress is about. Raises UsageError."""
    if value is None:
        return ()
    if value == _EVERY:
        for_a_kernel("--stress", value, kernels, is_linux, "Linux")
        return tuple(number for number, name in enumerate(kernels, 1) if is_linux(name))
    numbers = value.split(",")
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            raise click.UsageError(f"--stress '{value}': expected generations (e.g. 2,3)")
        for_a_kernel("--stress", f"{number}:", kernels, is_linux, "Linux")
    return tuple(sorted(set(map(int, numbers))))
