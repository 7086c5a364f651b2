# SPDX-License-Identifier: BSD-3-Clause
"""--kexec-flag: how a Linux of a chain loads its next kernel."""

from __future__ import annotations

from typing import Any, Sequence

import click

from khorig.cli.appended import for_a_kernel
from khorig.guest.chain_run import is_linux, split_option
from khorig.guest.kexec_flags import FORM, KEXEC_FLAGS, NO_INITRAMFS, flag_words


def kexec_flag_option(command: Any) -> Any:
    """Adds --kexec-flag."""
    return click.option(
        "--kexec-flag",
        multiple=True,
        metavar=FORM,
        help="Flags of kexec_file_load with which every Linux, or generation N, loads its next "
        f"kernel: {', '.join(KEXEC_FLAGS)}; repeatable.",
    )(command)


def checked_kexec_flags(kernels: Sequence[str], options: Sequence[str]) -> tuple[str, ...]:
    """The --kexec-flag of `khorig linux run`. Raises UsageError."""
    for option in options:
        text = for_a_kernel("--kexec-flag", option, kernels, is_linux, "Linux")
        generation = split_option(option)[0]
        try:
            words = flag_words(text)
        except ValueError as error:
            raise click.UsageError(f"--kexec-flag '{option[:80]}': {error}") from None
        loaders = [
            number
            for number, name in enumerate(kernels[:-1], 1)
            if is_linux(name) and generation in (None, number)
        ]
        if not loaders:
            what = "the last kernel of the chain loads none"
            raise click.UsageError(f"--kexec-flag '{option}': {what}")
        if NO_INITRAMFS in words:
            _check_without_initramfs(option, kernels, loaders)
    return tuple(options)


def _check_without_initramfs(option: str, kernels: Sequence[str], loaders: Sequence[int]) -> None:
    """Raises UsageError for a khorig that would not find the kernel after it."""
    for loader in loaders:
        following = loader + 1
        if not is_linux(kernels[following - 1]) and following < len(kernels):
            what = f"generation {following} is khorig, which has the next kernel in its initramfs"
            raise click.UsageError(f"--kexec-flag '{option}': {what}")
