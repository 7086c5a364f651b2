# SPDX-License-Identifier: BSD-3-Clause
"""Cancels all running work from a signal handler."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from khorig.vm.errors import Interrupted
from khorig.vm.partial_file import remove_partial_files

# Termination signals.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ECHO_S = 0.5


class Echo:
    """Tells a signal that is sent twice from a second one: timeout(1) signals the process and then
    its group, and so does a terminal that closes."""

    def __init__(self) -> None:
        self._last, self._at_s = 0, 0.0

    def __call__(self, signal_number: int) -> bool:
        """Whether the same signal came a moment ago."""
        now_s = time.monotonic()
        echo = signal_number == self._last and now_s - self._at_s < _ECHO_S
        self._last, self._at_s = signal_number, now_s
        return echo


class Cancellation:
    """Set once, by SIGINT, SIGTERM or SIGHUP; wakes every wait that has it in its selector."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.signal_number: int | None = None
        self._echo = Echo()

    def fileno(self) -> int:
        """File descriptor, readable once cancelled."""
        return self._read

    def cancel(self, signal_number: int) -> None:
        """Cancels. Later calls have no effect."""
        if self.signal_number is None:
            self.signal_number = signal_number
            os.write(self._write, b"x")

    def check(self) -> None:
        """Raises Interrupted once cancelled."""
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)

    def install(self) -> None:
        """Makes SIGINT, SIGTERM and SIGHUP cancel. The second one ends the process at once; QEMU
        then dies with it, and files that are half written are removed. The same one again within
        half a second is no second one. A SIGHUP that is ignored stays so (nohup). Main thread
        only."""
        for number in ENDING:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:
        if self._echo(signal_number):
            return
        if self.signal_number is not None:
            remove_partial_files()
            os._exit(128 + signal_number)
        self.cancel(signal_number)
