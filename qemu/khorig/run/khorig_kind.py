# SPDX-License-Identifier: BSD-3-Clause
"""The RunKind of khorig's own kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

from khorig.guest.khorig_run import KhorigRun
from khorig.run.judging import Judge, StopHook
from khorig.run.session import RunKind
from khorig.run.tamper.runs import tamper_hooks
from khorig.vm.build_outputs import Images, find_images
from khorig.vm.machines import Machine


def _judge(spec: KhorigRun) -> Judge:
    from khorig.run.judge import RunJudge  # slow import, while QEMU starts

    return RunJudge(spec)


def khorig_kind(
    judge: Callable[[KhorigRun], Judge] = _judge,
    hooks: Callable[[KhorigRun], Sequence[StopHook]] = tamper_hooks,
) -> RunKind[KhorigRun]:
    """`judge` and `hooks` can be replaced by tests."""
    return RunKind(judge, hooks, _images)


def _images(spec: KhorigRun, machine: Machine, folder: Path) -> Images:
    return find_images(machine, spec.kernel_of(1), spec.kernel_of(spec.generations))
