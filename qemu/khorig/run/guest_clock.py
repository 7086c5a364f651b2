# SPDX-License-Identifier: BSD-3-Clause
"""How long a guest has been able to run."""

from __future__ import annotations

import contextlib
import time
from typing import Callable, Iterator


class GuestClock:
    """Wall time from when the guest was let go, without the time in which it waited for the host at
    a stop. A slow host, or one that keeps images of gigabytes, uses up nothing of what the guest was
    given."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit_s` is what the guest is given; `clock` counts seconds."""
        self._limit_s = limit_s
        self._clock = clock
        self._since_s = self._clock()
        self.host_s = 0.0  # what the host took at stops

    def start(self) -> None:
        """The guest runs from now on."""
        self._since_s = self._clock()
        self.host_s = 0.0

    @contextlib.contextmanager
    def host(self) -> Iterator[None]:
        """Around what the host does while the guest waits for it."""
        began_s = self._clock()
        try:
            yield
        finally:
            self.host_s += self._clock() - began_s

    @property
    def left_s(self) -> float:
        """What is left; 0 or less once the time is over. Not for use inside of `host`."""
        return self._limit_s - (self._clock() - self._since_s - self.host_s)
