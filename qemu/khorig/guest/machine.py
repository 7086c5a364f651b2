# SPDX-License-Identifier: BSD-3-Clause
"""Facts about the machine that a run is on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MachineFacts:
    """What the judge may know of the machine a run is on."""

    arch: str  # "x86_64", "arm64"
    name: str  # "q35", "pc", "microvm", "virt"
    ram_bytes: int


@dataclass(frozen=True)
class RunningCpu:
    """A CPU, besides the first, that executes instructions."""

    number: int  # QEMU's
    pc: int  # virtual
