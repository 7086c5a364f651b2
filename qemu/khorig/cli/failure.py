# SPDX-License-Identifier: BSD-3-Clause
"""How a verb that could not do its work ends: the message, the exit status, and with --json a
document."""

from __future__ import annotations

import json
import shlex
import signal
import traceback
from dataclasses import dataclass
from typing import Sequence

import click

from khorig.cli import exit_codes
from khorig.vm.errors import InfraError, Interrupted

_SCHEMA = 1
_FRAMES = 12  # of a traceback


@dataclass(frozen=True)
class Failure:
    """Why a verb gave up."""

    status: int
    message: str  # one line
    details: tuple[str, ...] = ()
    silent: bool = False  # whoever asked for the end knows why

    def document(self) -> str:
        """What --json prints in place of a result."""
        fields = {"schema": _SCHEMA, "error": self.message, "status": self.status}
        return json.dumps({**fields, "details": list(self.details)}, indent=1)


def failure_of(error: BaseException, words: Sequence[str]) -> Failure:
    """The end that an exception means, whatever it is. `words` are the command line."""
    if isinstance(error, click.UsageError):
        hint = (f"see '{error.ctx.command_path} --help'",) if error.ctx else ()
        return Failure(exit_codes.USAGE, _usage_message(error), hint)
    if isinstance(error, click.ClickException):
        return Failure(error.exit_code, error.format_message())
    if isinstance(error, InfraError):
        return Failure(exit_codes.INFRA, error.what, error.evidence)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return Failure(exit_codes.SIGNAL + signal.SIGINT, "interrupted", silent=True)
    if isinstance(error, Interrupted):
        return Failure(exit_codes.SIGNAL + error.signal_number, "interrupted", silent=True)
    if isinstance(error, BrokenPipeError):
        return Failure(exit_codes.SIGNAL + signal.SIGPIPE, "stdout is closed", silent=True)
    if isinstance(error, MemoryError):
        return Failure(exit_codes.INFRA, "out of memory")
    if isinstance(error, OSError) and error.strerror:
        return Failure(exit_codes.INFRA, f"{error.filename or 'stdout'}: {error.strerror}")
    return _bug(error, words)


def _usage_message(error: click.UsageError) -> str:
    if type(error) is click.BadParameter and error.param is not None:
        option = isinstance(error.param, click.Option)
        name = error.param.opts[0] if option else error.param.make_metavar()
        return f"{name}: {error.message}"
    return error.format_message()


def _bug(error: BaseException, words: Sequence[str]) -> Failure:
    last = traceback.format_exception(error)[-_FRAMES:]
    frames = [line for part in last for line in part.rstrip().splitlines()]
    command = shlex.join(["khorig", *words])
    what = f"bug in khorig: {type(error).__name__}: {error}".splitlines()[0]
    return Failure(
        exit_codes.BUG, what, (*frames, f"please report it, with the command: {command}")
    )
