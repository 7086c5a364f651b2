# SPDX-License-Identifier: BSD-3-Clause
"""One axis of the hardware matrix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Tier(Enum):
    """When a value is run."""

    DEFAULT = "default"
    NIGHTLY = "nightly"


# What an axis's fault may lead to, besides the rule that it violates.
PASS = "PASS"  # it fires, and does no harm
SILENT = "silent"  # it has no place there, and does not fire
CRASH, HANG = "CRASH", "HANG"
OUTCOMES = (PASS, SILENT, CRASH, HANG)


@dataclass(frozen=True)
class AxisValue:
    """A value of an axis."""

    name: str
    machines: tuple[str, ...]  # that have it
    words: tuple[str, ...]  # options of `khorig run`
    tier: Tier
    with_fault: str  # the rule that the first finding violates with the fault, or of OUTCOMES


@dataclass(frozen=True)
class Axis:
    """What hardware can differ in, and the deliberate defect that only some values reveal."""

    name: str
    summary: str
    fault: str  # "" for none
    no_fault: str  # why there is none
    values: tuple[AxisValue, ...]


@dataclass(frozen=True)
class Cell:
    """A value on a machine: one run, and one with the fault."""

    axis: Axis
    value: AxisValue
    machine: str

    @property
    def id(self) -> str:
        """ "x86-levels/5/q35" """
        return f"{self.axis.name}/{self.value.name}/{self.machine}"
