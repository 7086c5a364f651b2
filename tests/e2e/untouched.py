# SPDX-License-Identifier: BSD-3-Clause
"""Tells whether a kernel that refuses its handover has written where it must not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.scratch import read_scratch
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange, RamMemory
from khorig.run.judging import StopContext
from khorig.run.tamper.hook import GENERATION, TamperHook

_PAGE = 4096
_LEGACY = 1 << 20  # on x86_64, firmware's own


def _pages(ram: GuestRam) -> dict[int, npt.NDArray[np.uint8]]:
    """A copy of RAM: for each region, by its address, its pages."""
    return {
        region.gpa: np.frombuffer(ram.view(region.gpa, region.size), np.uint8)
        .reshape(-1, _PAGE)
        .copy()
        for region in ram.regions
    }


class Untouched:
    """A StopHook around the one that damages: copies RAM at the entry of the generation that is to
    refuse, after the damage, and compares at `refused`. What differs outside scratch is in
    `touched`."""

    def __init__(self, damage: TamperHook) -> None:
        self._damage = damage
        self._before: dict[int, npt.NDArray[np.uint8]] = {}
        self._allowed: tuple[PhysRange, ...] = ()
        self.compared = False
        self.touched: list[str] = []

    def __call__(self, context: StopContext) -> list[str]:
        if context.generation == GENERATION and context.at == "entry":
            self._allowed = self._scratch(context)
            lines = self._damage(context)
            self._before = _pages(context.ram)
            return lines
        if context.generation == GENERATION and context.at == "refused":
            self._compare(context.ram)
        return self._damage(context)

    def _scratch(self, context: StopContext) -> tuple[PhysRange, ...]:
        """The true scratch areas; the hand-off may be what was damaged, before the jump."""
        assert context.boot is not None
        memory = RamMemory(context.ram)
        handoff = self._damage.handoff
        if handoff is None:
            parameters = context.boot.address("parameters")
            handoff = find_handoff(memory, context.machine.arch, parameters)
        assert handoff is not None
        return read_scratch(memory, handoff.scratch_array)

    def _compare(self, ram: GuestRam) -> None:
        self.compared = True
        for base, pages in _pages(ram).items():
            for index in np.nonzero((pages != self._before[base]).any(axis=1))[0]:
                page = base + int(index) * _PAGE
                if not any(area.contains(page, _PAGE) for area in self._allowed):
                    self.touched.append(f"{page:#018x}")
