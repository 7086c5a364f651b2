# SPDX-License-Identifier: BSD-3-Clause
"""Checks a user's additions to kernel command lines.

The rig derives its expectations from the options it sets itself: a guest that gets others would be
judged by the wrong ones.
"""

from __future__ import annotations

import re
from typing import Callable, Mapping, Sequence

import click

from khorig.guest.chain_run import is_linux, split_option
from khorig.guest.spec import KHORIGS

_KHORIG_OPTION = re.compile(r"[a-z][a-z0-9_]*=[!-~]+")
_INIT_PREFIX = "khorig."
_PROGRAM = "khorig.exec"  # how programs were run before there was --run
_KHO_OFF = "khorig.kho=off"

# Options of khorig's kernel that the rig sets, and what sets them.
_IN_A_RUN = {
    "scenario": "use --scenario",
    "generation": "each generation has its own",
    "generations": "use --generations",
    "seed": "use --seed",
    "stops": "use --stops",
    "fault": "use --fault",
}
_IN_A_CHAIN = {
    **_IN_A_RUN,
    "scenario": "always relay in a chain",
    "generations": "use --chain",
    "fault": "only 'khorig run --fault' expects a defect",
}

# Options of the rig's user space in a Linux.
_OF_INIT = {
    "khorig.generation": "each generation has its own",
    "khorig.generations": "use --chain",
    "khorig.stops": "use --stops",
    "khorig.content": "use --seed",
    "khorig.stress": "use --stress",
    "khorig.luo": "the first Linux creates the session, the next retrieves it",
    "khorig.kexec": "use --kexec-flag",
    "khorig.crash": "use --crash",
}


def check_run_options(options: Sequence[str]) -> None:
    """The --append of `khorig run`. Raises UsageError."""
    for option in options:
        _check_khorig_option(option, option, _IN_A_RUN)


def check_chain_options(
    kernels: Sequence[str], khorig_options: Sequence[str], linux_options: Sequence[str]
) -> None:
    """The --append and --linux-append of `khorig linux run`. Raises UsageError."""
    for option in khorig_options:
        text = for_a_kernel("--append", option, kernels, KHORIGS.__contains__, "khorig")
        _check_khorig_option(option, text, _IN_A_CHAIN)
    for option in linux_options:
        text = for_a_kernel("--linux-append", option, kernels, is_linux, "Linux")
        _check_linux_option(option, text)


def _check_khorig_option(option: str, text: str, rig_sets: Mapping[str, str]) -> None:
    if _KHORIG_OPTION.fullmatch(text) is None:
        raise click.UsageError(f"--append '{option}': expected NAME=VALUE (e.g. megabytes=64)")
    _check_not_set("--append", option, text, rig_sets)


def _check_linux_option(option: str, text: str) -> None:
    if not text.strip() or not text.isprintable():
        what = "expected a Linux option (e.g. quiet, cma=4M)"
        raise click.UsageError(f"--linux-append '{option}': {what}")
    for word in text.split():
        _check_not_set("--linux-append", option, word, _OF_INIT)
        name = word.partition("=")[0]
        if name == _PROGRAM:
            what = "a program is run by --run '[N:]PROGRAM [ARGUMENTS...]'"
            raise click.UsageError(f"--linux-append '{option}': {what}")
        if name.startswith(_INIT_PREFIX) and word != _KHO_OFF:
            raise click.UsageError(f"--linux-append '{option}': expected {_KHO_OFF}")


def _check_not_set(where: str, option: str, word: str, rig_sets: Mapping[str, str]) -> None:
    name = word.partition("=")[0]
    if name in rig_sets:
        raise click.UsageError(f"{where} '{option}': '{name}' is set by the rig; {rig_sets[name]}")


def for_a_kernel(
    where: str, option: str, kernels: Sequence[str], fits: Callable[[str], bool], kind: str
) -> str:
    """The option without its generation number. Raises UsageError when no kernel would get it."""
    generation, text = split_option(option)
    if generation is None:
        if not any(map(fits, kernels)):
            raise click.UsageError(f"{where} '{option}': no {kind} in this chain")
        return text
    if not 1 <= generation <= len(kernels):
        what = f"no generation {generation} in a chain of {len(kernels)} kernels"
        raise click.UsageError(f"{where} '{option}': {what}")
    name = kernels[generation - 1]
    if not fits(name):
        raise click.UsageError(f"{where} '{option}': generation {generation} is {name}, not {kind}")
    return text
