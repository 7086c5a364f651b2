# SPDX-License-Identifier: BSD-3-Clause
"""Time and size limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits; times are wall time in seconds. Tests shorten them; users have --timeout."""

    reply_s: float = 10.0  # for a QMP reply
    silence_s: float = 1.0  # of the console, before the CPUs are sampled
    interval_s: float = 0.1  # between samples
    looks: int = 20  # samples in a row with only known states: a hang
    dead_looks: int = 3  # in a row with all CPUs halted and deaf: a hang
    asleep_s: float = 10.0  # in which nothing wakes halted CPUs: a hang
    idle_s: float = 30.0  # in which timers alone wake halted CPUs: a hang
    spin_s: float = 30.0  # of silence in known code pages: a spin
    last_words_s: float = 2.0  # for a guest to exit after its last event
    oops_s: float = 4.0  # of silence of a Linux after BUG: or Oops:
    images_s: float = 60.0  # for all images of a run; later ones are omitted
    console: int = 64 << 20  # bytes
