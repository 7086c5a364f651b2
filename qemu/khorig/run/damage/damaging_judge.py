# SPDX-License-Identifier: BSD-3-Clause
"""A judge that sees a handover only after it was damaged."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping

from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts
from khorig.kho.handover import decode_handover
from khorig.kho.layout import Geometry
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Finding
from khorig.run.damage.damage import Damage
from khorig.run.damage.sealed_target import SealedTarget
from khorig.run.judging import Judge, Statistics, StopContext
from khorig.run.tamper.handoff_source import find_handoff_source, find_scratch_source
from khorig.run.tamper.hook import find_target
from khorig.run.tamper.target import Target


class DamagingJudge:
    """A Judge that damages guest memory at the stop of `damage`, before or after another judge
    looks at it."""

    def __init__(self, judge: Judge, damage: Damage) -> None:
        self.lines: list[str] = []  # what was done
        self._judge = judge
        self._damage = damage

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """See Judge."""
        return self._judge.on_event(event)

    def on_stop(self, context: StopContext) -> list[Finding]:
        """See Judge. Raises CannotTamper, DecodeError, EventFieldError."""
        damage = self._damage
        if (context.at, context.generation) != (damage.stop, damage.generation):
            return self._judge.on_stop(context)
        if damage.seen:
            self._apply(context)
        findings = self._judge.on_stop(context)
        if not damage.seen:
            self._apply(context)
        return findings

    def _apply(self, context: StopContext) -> None:
        self.lines.append(self._damage.apply(target_at(context)))

    def on_tampered(self, context: StopContext) -> None:
        """See Judge."""
        self._judge.on_tampered(context)

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> list[Finding]:
        """See Judge."""
        return self._judge.on_trouble(ram, machine)

    def finish(self, exit_status: int | None) -> list[Finding]:
        """See Judge."""
        return self._judge.finish(exit_status)

    @property
    def statistics(self) -> Statistics:
        """See Judge."""
        return self._judge.statistics

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """See Judge."""
        return self._judge.picture

    @property
    def counters(self) -> Mapping[str, int]:
        """See Judge."""
        return self._judge.counters


def target_at(context: StopContext) -> Target:
    """The handover at a stop of khorig: at `entry` the one that arrived, else the one that is
    sealed. Raises CannotTamper, DecodeError, EventFieldError."""
    arch = context.machine.arch
    geometry = Geometry(context.page_shift)
    if context.at == "entry" and context.boot is not None:
        return find_target(context.ram, arch, context.boot.address("parameters"), geometry)
    memory = RamMemory(context.ram)
    root = context.event.address("root")
    handoff = find_handoff_source(memory, arch, root)
    at, areas = find_scratch_source(memory, handoff)
    # Where the array is now, not where the next kernel will have it.
    here = dataclasses.replace(handoff.scratch, value=at)
    return SealedTarget(
        ram=context.ram,
        ranges=tuple(memory.ranges),
        handoff=dataclasses.replace(handoff, scratch=here),
        scratch=areas,
        handover=decode_handover(memory, root, geometry),
        geometry=geometry,
    )
