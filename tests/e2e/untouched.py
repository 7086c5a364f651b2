# SPDX-License-Identifier: BSD-3-Clause
"""Tells whether a kernel that refuses its handover has written where it must not."""

from __future__ import annotations

import xxhash

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.scratch import read_scratch
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange, RamMemory
from khorig.run.judging import StopContext
from khorig.run.tamper.hook import GENERATION, TamperHook

_PAGE = 4096
_ZEROS = xxhash.xxh3_64_intdigest(bytes(_PAGE))


def _digests(ram: GuestRam) -> dict[int, int]:
    """A hash of each page that was ever written, by its address. A copy of all RAM would allocate
    the others."""
    found = {}
    for gpa, size in ram.extents():
        with ram.view(gpa, size) as view:
            for at in range(0, size, _PAGE):
                found[gpa + at] = xxhash.xxh3_64_intdigest(view[at : at + _PAGE])
    return found


class Untouched:
    """A StopHook around the one that damages: hashes RAM at the entry of the generation that is to
    refuse, after the damage, and compares at `refused`. What differs outside scratch is in
    `touched`."""

    def __init__(self, damage: TamperHook) -> None:
        self._damage = damage
        self._before: dict[int, int] = {}
        self._allowed: tuple[PhysRange, ...] = ()
        self.compared = False
        self.touched: list[str] = []

    def __call__(self, context: StopContext) -> list[str]:
        if context.generation == GENERATION and context.at == "entry":
            self._allowed = self._scratch(context)
            lines = self._damage(context)
            self._before = _digests(context.ram)
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
        for page, digest in _digests(ram).items():
            if self._before.get(page, _ZEROS) != digest:
                if not any(area.contains(page, _PAGE) for area in self._allowed):
                    self.touched.append(f"{page:#018x}")
