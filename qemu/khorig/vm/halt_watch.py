# SPDX-License-Identifier: BSD-3-Clause
"""Tells a guest that sleeps from one that will not wake up."""

from __future__ import annotations

from typing import Sequence

from khorig.vm.cpu_state import CpuState
from khorig.vm.limits import Limits

_BUSY_LOOKS = 3  # in a row: the guest has been woken for more than a tick


class HaltWatch:
    """Follows looks at which no CPU runs. An idle Linux halts, too; its ticks wake it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._dead = 0  # looks in a row
        self._busy = 0
        self._turns = -1
        self._idle_since: float | None = None
        self._asleep_since = 0.0
        self.is_over = False  # the guest will not wake up, or has slept for too long

    def waits(self, states: Sequence[CpuState], all_sleep: bool, turns: int, now: float) -> bool:
        """Whether all CPUs that are on are halted and wait for an interrupt. `all_sleep`: all
        threads of QEMU do, which tells it where registers do not; `turns`: how often those of the
        CPUs were given a CPU of the host so far; `now`: seconds."""
        on = [state for state in states if state.is_on and state.interrupts is not None]
        if not on or not all(all_sleep if s.halted is None else s.halted for s in on):
            self._rouse()
            return False
        is_deaf = all(state.halted and not state.interrupts for state in on)
        self._dead = self._dead + 1 if is_deaf else 0
        self._busy = 0
        if self._idle_since is None:
            self._idle_since = self._asleep_since = now
        if turns != self._turns:
            self._turns, self._asleep_since = turns, now
        self.is_over = (
            self._dead >= self._limits.dead_looks
            or now - self._asleep_since >= self._limits.asleep_s
            or now - self._idle_since >= self._limits.idle_s
        )
        return True

    def _rouse(self) -> None:
        self._dead = 0
        self._busy += 1
        if self._busy >= _BUSY_LOOKS:
            self._idle_since = None
