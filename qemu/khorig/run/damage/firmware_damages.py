# SPDX-License-Identifier: BSD-3-Clause
"""Damage to what UEFI left for kernels to read."""

from __future__ import annotations

from khorig.kho.boot.efi import find_system_table
from khorig.mem.memory import RamMemory
from khorig.run.damage.damage import Damage
from khorig.run.tamper.target import CannotTamper, Target

_ENTRIES = 4  # offset of their number in the memory attributes table
_ABSURD = 1705287680  # as SUSE's bug has it


def _memory_attributes(target: Target) -> str:
    system = find_system_table(RamMemory(target.ram))
    table = system.table("MEMATTR") if system else None
    if table is None:
        raise CannotTamper("the firmware has no memory attributes table")
    target.ram.write(table.address + _ENTRIES, _ABSURD.to_bytes(4, "little"))
    return f"the memory attributes table at {table.address:#018x} has {_ABSURD} entries"


FIRMWARE_DAMAGES = (
    Damage(
        "memory-attributes-corrupt",
        "UEFI's memory attributes table has an absurd size",
        _memory_attributes,
    ),
)
