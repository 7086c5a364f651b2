# SPDX-License-Identifier: BSD-3-Clause
"""Tampers at a stop of the guest."""

from __future__ import annotations

from khorig.guest_ram import GuestRam
from khorig.model import StopContext
from khorig.tamper.tampering import Tampering
from khorig.tamper.target import CannotTamper, Target
from khorig.view.handoff import find_handoff
from khorig.view.handover import decode_handover
from khorig.view.layout import GEOMETRY_4K
from khorig.view.memory import RamMemory
from khorig.view.scratch import read_scratch

GENERATION = 2  # whose handover is damaged, at its entry


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


class TamperHook:
    """The StopHook that applies one tampering, once."""

    def __init__(self, tampering: Tampering) -> None:
        self._tampering = tampering

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.model.StopHook. Raises CannotTamper, EventFieldError, DecodeError."""
        if context.at != "entry" or context.generation != GENERATION or context.boot is None:
            return []
        parameters = context.boot.address("parameters")
        target = find_target(context.ram, context.machine.arch, parameters)
        return [f"{self._tampering.name}: {self._tampering.apply(target)}"]
