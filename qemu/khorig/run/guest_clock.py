# SPDX-License-Identifier: BSD-3-Clause
"""Run time of a guest."""

from __future__ import annotations

import contextlib
import time
from typing import Callable, Iterator


class GuestClock:
    """Wall time since the guest was started, without the host's time at stops: a slow host or large
    images do not count against the guest's timeout."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit_s` is what the guest is given; `clock` counts seconds."""
        self._limit_s = limit_s
        self._clock = clock
        self._since_s = self._clock()
        self.host_s = 0.0  # spent by the host at stops

    def start(self) -> None:
        """Starts the clock."""
        self._since_s = self._clock()
        self.host_s = 0.0

    @contextlib.contextmanager
    def host(self) -> Iterator[None]:
        """Excludes the host's work while the guest waits."""
        began_s = self._clock()
        try:
            yield
        finally:
            self.host_s += self._clock() - began_s

    @property
    def left_s(self) -> float:
        """Remaining time; 0 or less after the timeout. Not valid inside `host`."""
        return self._limit_s - (self._clock() - self._since_s - self.host_s)
