# SPDX-License-Identifier: BSD-3-Clause
"""What UEFI left, as text and as JSON."""

from __future__ import annotations

from typing import Any

from khorig.kho.boot.efi import FirmwareTable, SystemTable
from khorig.out.text import size

_NAMES = 12  # parts of a table


def firmware_lines(system: SystemTable) -> list[str]:
    """The system table and every table that Linux reads."""
    known = [table for table in system.tables if table.kind]
    count = f"{len(system.tables)} configuration tables, {len(known)} of them read by Linux"
    lines = [f"EFI system table at {system.address:#018x}: {count}"]
    for table in known:
        lines.append(f"{table.address:#018x}  {table.name}{_parts(table)}")
        lines += [f"  {problem}" for problem in table.problems]
    return lines


def firmware_document(system: SystemTable) -> dict[str, Any]:
    """The same, with every part and every table."""
    return {
        "system_table": hex(system.address),
        "tables": [
            {
                "guid": str(table.guid),
                "name": table.name,
                "address": hex(table.address),
                "parts": [[p.name, hex(p.area.begin), p.area.size] for p in table.parts],
                "problems": list(map(str, table.problems)),
            }
            for table in system.tables
        ],
    }


def _parts(table: FirmwareTable) -> str:
    """Its size, and the names of its parts, each once."""
    if not table.parts:
        return ""
    names = list(dict.fromkeys(part.name for part in table.parts if part.name))
    shown = " ".join(names[:_NAMES]) + (" ..." if len(names) > _NAMES else "")
    total = size(sum(part.area.size for part in table.parts))
    return f", {total}" + (f": {shown}" if shown else "")
