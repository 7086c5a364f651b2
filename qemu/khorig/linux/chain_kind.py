# SPDX-License-Identifier: BSD-3-Clause
"""The RunKind of chains with real Linux."""

from __future__ import annotations

from typing import Callable, Sequence

from khorig.guest.chain_run import ChainRun
from khorig.linux.chain import make_images, with_page_sizes
from khorig.run.judging import Judge, StopHook, Witness
from khorig.run.session import RunKind


def _witnesses(spec: ChainRun) -> tuple[Witness, ...]:
    # Slow imports, while QEMU starts.
    from khorig.linux.expectations import Expectations
    from khorig.linux.linux_monitor import LinuxMonitor
    from khorig.linux.online_cpus import OnlineCpus

    return LinuxMonitor(spec), Expectations(spec), OnlineCpus(spec)


def _judge(spec: ChainRun) -> Judge:
    from khorig.run.judge import RunJudge

    witnesses = _witnesses(spec)
    if spec.crash:
        from khorig.linux.crash_expectations import CrashExpectations
        from khorig.run.crash_judge import CrashJudge

        return CrashJudge(spec, (*witnesses, CrashExpectations(spec)))
    return RunJudge(spec, witnesses)


def _timed_judge(spec: ChainRun) -> Judge:
    from khorig.run.timed_judge import TimedJudge

    return TimedJudge(spec, _witnesses(spec))


def _hooks(spec: ChainRun) -> Sequence[StopHook]:
    if spec.tamper is None:
        return ()
    from khorig.linux.refusals import refusal_hooks

    return refusal_hooks(spec)


def chain_kind(
    judge: Callable[[ChainRun], Judge] = _judge,
    hooks: Callable[[ChainRun], Sequence[StopHook]] = _hooks,
) -> RunKind[ChainRun]:
    """`judge` and `hooks` can be replaced by tests."""
    return RunKind(judge, hooks, make_images, with_page_sizes)


def timed_kind() -> RunKind[ChainRun]:
    """Of chains whose time is taken: without stops, judged by what their kernels say."""
    return RunKind(_timed_judge, lambda spec: (), make_images, with_page_sizes)
