# SPDX-License-Identifier: BSD-3-Clause
"""Signals while a verb runs that has nothing to wind down but its own stack."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType
from typing import Iterator

from khorig.vm.cancellation import ENDING, Echo
from khorig.vm.errors import Interrupted


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """In the body SIGINT, SIGTERM and SIGHUP raise Interrupted, so that files that are half written
    are removed, and the exit status names the signal. One that is ignored stays so (nohup). Main
    thread only."""
    echo = Echo()

    def stop(signal_number: int, frame: FrameType | None) -> None:
        if not echo(signal_number):
            raise Interrupted(signal_number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
