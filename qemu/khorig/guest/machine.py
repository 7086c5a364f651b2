# SPDX-License-Identifier: BSD-3-Clause
"""Facts about the machine of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MachineFacts:
    """Facts about the machine for the judge."""

    arch: str  # "x86_64", "arm64"
    name: str  # "q35", "pc", "microvm", "virt"
    ram_bytes: int


@dataclass(frozen=True)
class RunningCpu:
    """A secondary CPU that is executing."""

    number: int  # in QEMU
    pc: int  # virtual address
