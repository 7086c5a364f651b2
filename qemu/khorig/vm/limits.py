# SPDX-License-Identifier: BSD-3-Clause
"""How long the rig waits, and how much it takes from a guest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

_FOREVER_S = 1e6  # days; no selector takes many more


@dataclass(frozen=True)
class Limits:
    """Times are wall time in seconds. The tests of the rig shorten them; users have --timeout."""

    reply_s: float = 10.0  # until QEMU answers a QMP command
    silence_s: float = 1.0  # on the console, before the CPUs are looked at
    interval_s: float = 0.1  # between looks
    looks: int = 20  # in a row that show nothing new: a hang
    spin_s: float = 30.0  # of silence in code where every CPU has been before
    last_words_s: float = 2.0  # that a guest has to end after it said that it will
    images_s: float = 60.0  # for all images of a run; what would take longer is left out
    console: int = 64 << 20  # bytes

    def debugged(self) -> Limits:
        """The same for a guest that a debugger stops as it likes."""
        return dataclasses.replace(self, silence_s=_FOREVER_S, last_words_s=_FOREVER_S)
