# SPDX-License-Identifier: BSD-3-Clause
"""Writes a frame table whose chunks all have bytes of their own, one chunk behind the other."""

from __future__ import annotations

import struct
from typing import Protocol

PAGE = 4096
ENTRIES = PAGE  # where the bytes of the frames lie from the directory on


class Ram(Protocol):
    """What can be written to."""

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes."""


def write_frame_table(ram: Ram, address: int, entries: bytes) -> None:
    """The table of as many frames as there are entries; the first one begins a chunk."""
    chunks = -(-len(entries) // PAGE)
    places = [address + ENTRIES + chunk * PAGE for chunk in range(chunks)]
    ram.write(address, bytes([0x9F] * chunks).ljust(-(-chunks // 8) * 8, b"\0"))
    ram.write(address + -(-chunks // 8) * 8, struct.pack(f"<{chunks}Q", *places))
    ram.write(address + ENTRIES, entries)
