# SPDX-License-Identifier: BSD-3-Clause
"""Tampers at a stop of the guest."""

from __future__ import annotations

from typing import Sequence

from khorig.guest_ram import GuestRam
from khorig.model import RunSpec, StopContext, StopHook
from khorig.tamper.catalogue import TAMPERINGS
from khorig.tamper.handoff_source import find_handoff_source
from khorig.tamper.handoff_tamperings import HandoffTampering, HandoffTarget
from khorig.tamper.tampering import Tampering
from khorig.tamper.target import CannotTamper, Target
from khorig.view.handoff import find_handoff
from khorig.view.handover import decode_handover
from khorig.view.layout import GEOMETRY_4K
from khorig.view.memory import RamMemory
from khorig.view.scratch import read_scratch

VICTIM = 2  # the generation that gets the damaged handover


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
        handover=decode_handover(memory, handoff.root.value),
        geometry=GEOMETRY_4K,
    )


def find_handoff_target(ram: GuestRam, arch: str, root: int) -> HandoffTarget:
    """The hand-off of the handover at `root`, before the jump. Raises CannotTamper."""
    memory = RamMemory(ram)
    handoff = find_handoff_source(memory, arch, root)
    return HandoffTarget(ram, handoff, memory.ranges[-1].end, GEOMETRY_4K)


class TamperHook:
    """The StopHook that applies one tampering, once: before the jump to the victim, or at its
    entry."""

    def __init__(self, tampering: Tampering | HandoffTampering) -> None:
        self._tampering = tampering

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.model.StopHook. Raises CannotTamper, EventFieldError, DecodeError."""
        arch, now = context.machine.arch, (context.at, context.generation)
        tampering = self._tampering
        if isinstance(tampering, HandoffTampering):
            if now != ("sealed", VICTIM - 1):
                return []
            root = context.event.address("root")
            line = tampering.apply(find_handoff_target(context.ram, arch, root))
        else:
            if now != ("entry", VICTIM) or context.boot is None:
                return []
            parameters = context.boot.address("parameters")
            line = tampering.apply(find_target(context.ram, arch, parameters))
        return [f"{tampering.name}: {line}"]


def hooks_for(spec: RunSpec) -> Sequence[StopHook]:
    """What a run's `tamper` asks for. Raises KeyError for an unknown name."""
    return [TamperHook(TAMPERINGS[spec.tamper])] if spec.tamper else []
