# SPDX-License-Identifier: BSD-3-Clause
"""The stop hook that applies a tampering."""

from __future__ import annotations

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.handover import decode_handover
from khorig.kho.layout import Geometry
from khorig.kho.scratch import read_scratch
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import RamMemory
from khorig.run.judging import StopContext
from khorig.run.tamper.handoff_source import find_handoff_source
from khorig.run.tamper.handoff_tamperings import HandoffTampering, HandoffTarget
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import CannotTamper, Target

GENERATION = 2  # receives the corrupted handover


def find_target(ram: GuestRam, arch: str, parameters: int, geometry: Geometry) -> Target:
    """The incoming handover of a kernel entered with `parameters`. Raises CannotTamper if there is
    none, DecodeError if it is invalid."""
    memory = RamMemory(ram)
    handoff = find_handoff(memory, arch, parameters)
    if handoff is None:
        raise CannotTamper(f"boot parameters at {parameters:#018x} have no handover")
    return Target(
        ram=ram,
        ranges=tuple(memory.ranges),
        handoff=handoff,
        scratch=read_scratch(memory, handoff.scratch_array),
        handover=decode_handover(memory, handoff.root.value, geometry),
        geometry=geometry,
    )


def find_handoff_target(ram: GuestRam, arch: str, root: int, geometry: Geometry) -> HandoffTarget:
    """The boot parameters with the handover at `root`, before the jump. Raises CannotTamper."""
    memory = RamMemory(ram)
    handoff = find_handoff_source(memory, arch, root)
    return HandoffTarget(ram, handoff, memory.ranges[-1].end, geometry)


class TamperHook:
    """The StopHook that applies one tampering, once: before the jump to generation 2, or at its
    entry."""

    def __init__(self, tampering: Tampering | HandoffTampering) -> None:
        self._tampering = tampering
        self.handoff: Handoff | None = None  # before tampering

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook. Raises CannotTamper, EventFieldError, DecodeError."""
        arch, now = context.machine.arch, (context.at, context.generation)
        tampering = self._tampering
        if isinstance(tampering, HandoffTampering):
            if now != ("sealed", GENERATION - 1):
                return []
            root = context.event.address("root")
            waiting = find_handoff_target(context.ram, arch, root, Geometry(context.page_shift))
            self.handoff = waiting.handoff
            line = tampering.apply(waiting)
        else:
            if now != ("entry", GENERATION) or context.boot is None:
                return []
            parameters = context.boot.address("parameters")
            target = find_target(context.ram, arch, parameters, Geometry(context.page_shift))
            self.handoff = target.handoff
            line = tampering.apply(target)
        return [f"{tampering.name}: {line}"]
