# SPDX-License-Identifier: BSD-3-Clause
"""The anchor of a handover and where a boot protocol wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from khorig.mem.memory import PhysRange


@dataclass(frozen=True)
class Field:
    """A number in memory."""

    address: int
    size: int  # bytes
    byteorder: Literal["little", "big"]
    value: int

    def encode(self, value: int) -> bytes:
        """The bytes of another value. Raises OverflowError when it does not fit."""
        return value.to_bytes(self.size, self.byteorder)


@dataclass(frozen=True)
class Handoff:
    """The anchor and the scratch array, and where it is written what they are."""

    root: Field
    root_size: Field
    scratch: Field
    scratch_size: Field

    @property
    def scratch_array(self) -> PhysRange:
        """The scratch array's bytes."""
        return PhysRange(self.scratch.value, self.scratch_size.value)
