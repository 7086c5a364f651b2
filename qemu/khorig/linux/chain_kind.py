# SPDX-License-Identifier: BSD-3-Clause
"""What a session needs to know of chains with real Linux."""

from __future__ import annotations

from typing import Callable, Sequence

from khorig.guest.chain_run import ChainRun
from khorig.linux.chain import make_images
from khorig.linux.judge import LinuxJudge
from khorig.linux.refusals import refusal_hooks
from khorig.run.judging import Judge, StopHook
from khorig.run.session import RunKind


def chain_kind(
    judge: Callable[[ChainRun], Judge] = LinuxJudge,
    hooks: Callable[[ChainRun], Sequence[StopHook]] = refusal_hooks,
) -> RunKind[ChainRun]:
    """With another judge or other hooks than the rig's own for tests."""
    return RunKind(judge, hooks, make_images)
