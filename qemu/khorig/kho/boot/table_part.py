# SPDX-License-Identifier: BSD-3-Clause
"""A piece of a firmware's table."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.mem.memory import PhysRange


@dataclass(frozen=True)
class Part:
    """Bytes that a kernel reads as one piece."""

    name: str  # "RSDP", "DSDT", "header"
    area: PhysRange
    changes: bool = False  # whether an operating system writes it
