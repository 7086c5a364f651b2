# SPDX-License-Identifier: BSD-3-Clause
"""The topmost page table that a dead kernel was entered on."""

from __future__ import annotations

import struct
from typing import Mapping

from khorig.mem.guest_ram import GuestRam, OutsideGuestRam
from khorig.mem.page_tables import FORMATS

_PRESENT = 1
_ENTRIES = 512
_ADDRESS = 0x000F_FFFF_FFFF_F000
_LA57 = 1 << 12  # in CR4


def own_bits_line(registers: Mapping[str, int], ram: GuestRam, jumping: int) -> str:
    """One line about entries with bits that only the kernel which wrote them understands, that of
    generation `jumping`; "" without such."""
    form = FORMATS["x86_64"]
    if "CR3" not in registers:
        return ""
    root = registers["CR3"] & _ADDRESS
    try:
        entries = struct.unpack(f"<{_ENTRIES}Q", ram.read(root, 8 * _ENTRIES))
    except OutsideGuestRam:
        return ""
    found = [(n, e) for n, e in enumerate(entries) if e & _PRESENT and e & form.software]
    if not found:
        return ""
    number, entry = found[0]
    bits = ", ".join(str(bit) for bit in range(64) if entry & form.software & 1 << bit)
    levels = 5 if registers.get("CR4", 0) & _LA57 else 4
    return (
        f"on page tables of {levels} levels at CR3 {root:#x}, whose entry {number} {entry:#018x} "
        f"has software bits of generation {jumping}: {bits}"
    )
