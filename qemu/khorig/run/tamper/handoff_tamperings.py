# SPDX-License-Identifier: BSD-3-Clause
"""Tamperings of the root address and the scratch array fields in the boot parameters.

A kernel reads these before its first event, so they are modified before the jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from khorig.kho.boot.handoff_fields import Field, Handoff
from khorig.kho.layout import Geometry
from khorig.mem.guest_ram import GuestRam


@dataclass(frozen=True)
class HandoffTarget:
    """Boot parameters before the jump. Valid only during a stop."""

    ram: GuestRam
    handoff: Handoff
    end_of_ram: int
    geometry: Geometry

    def set(self, field: Field, value: int) -> None:
        """Overwrites a field."""
        self.ram.write(field.address, field.encode(value))


@dataclass(frozen=True)
class HandoffTampering:
    """Like Tampering, with another target and stop."""

    name: str
    cause: str
    apply: Callable[[HandoffTarget], str]


def _anchor(target: HandoffTarget, value: int, what: str) -> str:
    target.set(target.handoff.root, value)
    return f"root address set to {value:#018x}, {what}"


def _unaligned(target: HandoffTarget) -> str:
    return _anchor(target, target.handoff.root.value + 8, "unaligned")


def _beyond_ram(target: HandoffTarget) -> str:
    return _anchor(target, target.end_of_ram, "beyond RAM")


def _in_scratch(target: HandoffTarget) -> str:
    """The scratch array is itself in scratch."""
    page = target.handoff.scratch.value & ~(target.geometry.page_size - 1)
    return _anchor(target, page, "in scratch")


def _length(target: HandoffTarget, size: int) -> str:
    before = target.handoff.scratch_size.value
    target.set(target.handoff.scratch_size, size)
    return f"scratch array size set to {size}, was {before}"


def _odd(target: HandoffTarget) -> str:
    return _length(target, target.handoff.scratch_size.value - 1)


def _empty(target: HandoffTarget) -> str:
    return _length(target, 0)


def _array_beyond_ram(target: HandoffTarget) -> str:
    target.set(target.handoff.scratch, target.end_of_ram)
    return f"scratch array address set to {target.end_of_ram:#018x}, beyond RAM"


HANDOFF_TAMPERINGS = (
    HandoffTampering("anchor-unaligned", "unaligned", _unaligned),
    HandoffTampering("anchor-beyond-ram", "outside-ram", _beyond_ram),
    HandoffTampering("anchor-in-scratch", "inside-scratch", _in_scratch),
    HandoffTampering("scratch-odd", "scratch-length", _odd),
    HandoffTampering("scratch-empty", "scratch-length", _empty),
    HandoffTampering("scratch-array-beyond-ram", "outside-ram", _array_beyond_ram),
)
