# SPDX-License-Identifier: BSD-3-Clause
"""Tampers at a stop of the guest."""

from __future__ import annotations

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.scratch import read_scratch
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import RamMemory
from khorig.run.judging import StopContext
from khorig.run.tamper.handoff_source import find_handoff_source
from khorig.run.tamper.handoff_tamperings import HandoffTampering, HandoffTarget
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import CannotTamper, Target

GENERATION = 2  # the one that gets the damaged handover


def find_target(ram: GuestRam, arch: str, parameters: int) -> Target:
    """The handover that the kernel entered with `parameters` is about to read. Raises CannotTamper
    when there is none, DecodeError when it is damaged already."""
    memory = RamMemory(ram)
    handoff = find_handoff(memory, arch, parameters)
    if handoff is None:
        raise CannotTamper(f"the parameters at {parameters:#018x} carry no handover")
    return Target(
        ram=ram,
        ranges=tuple(memory.ranges),
        handoff=handoff,
        scratch=read_scratch(memory, handoff.scratch_array),
        handover=decode_handover(memory, handoff.root.value, GEOMETRY_4K),
        geometry=GEOMETRY_4K,
    )


def find_handoff_target(ram: GuestRam, arch: str, root: int) -> HandoffTarget:
    """The hand-off of the handover at `root`, before the jump. Raises CannotTamper."""
    memory = RamMemory(ram)
    handoff = find_handoff_source(memory, arch, root)
    return HandoffTarget(ram, handoff, memory.ranges[-1].end, GEOMETRY_4K)


class TamperHook:
    """The StopHook that applies one tampering, once: before the jump to the generation that gets
    the damaged handover, or at its entry."""

    def __init__(self, tampering: Tampering | HandoffTampering) -> None:
        self._tampering = tampering
        self.handoff: Handoff | None = None  # as it was before the damage

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook. Raises CannotTamper, EventFieldError, DecodeError."""
        arch, now = context.machine.arch, (context.at, context.generation)
        tampering = self._tampering
        if isinstance(tampering, HandoffTampering):
            if now != ("sealed", GENERATION - 1):
                return []
            root = context.event.address("root")
            waiting = find_handoff_target(context.ram, arch, root)
            self.handoff = waiting.handoff
            line = tampering.apply(waiting)
        else:
            if now != ("entry", GENERATION) or context.boot is None:
                return []
            parameters = context.boot.address("parameters")
            target = find_target(context.ram, arch, parameters)
            self.handoff = target.handoff
            line = tampering.apply(target)
        return [f"{tampering.name}: {line}"]
