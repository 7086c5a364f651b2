# SPDX-License-Identifier: BSD-3-Clause
"""The pages of a CPU that runs on across jumps, and its page tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator

import numpy as np

from khorig.kho.clients.live_cpu import LiveCpu, LivePage
from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import OutsideRam
from khorig.mem.page_tables import FORMATS, PageTables, Translation

Breach = tuple[int, str]  # address, text

_MOST_ENTRIES = 64  # a CPU of its own has a handful
_AP1 = 1 << 6


def pages_preserved(snapshot: Snapshot) -> Iterator[Breach]:
    """The next kernel gives pages that are not preserved to somebody else."""
    live = snapshot.clients.live_cpu
    for owner, address in live.owned if live else ():
        frame = np.array([address >> snapshot.geometry.page_shift])
        if not snapshot.owners.are_preserved(frame)[0]:
            yield address, f"{_name(live)}: page of {owner} is not preserved"


def tables_map_own_pages(snapshot: Snapshot) -> Iterator[Breach]:
    """Each page with its rights, at its address, and nothing else, by tables that are its own."""
    live, arch = snapshot.clients.live_cpu, snapshot.arch
    if live is None or arch is None:
        return
    missing = set(live.pages)
    tables = PageTables(
        snapshot.memory,
        FORMATS[arch if arch == "x86_64" else "arm64 EL1"],
        snapshot.geometry.page_shift,
        live.tables[0],
        len(live.tables),
    )
    try:
        if arch == "arm64" and any(_is_of_el2(tables, found) for found in _entries(tables)):
            tables = replace(tables, format=FORMATS["arm64 EL2"])
        for entry in _entries(tables):
            where = entry.physical or 0
            if not tables.format.is_leaf(entry.entry, entry.level):
                if where not in live.tables:
                    yield where, f"{_name(live)}: table at {where:#018x} is none of its own"
                continue
            page = next((p for p in live.pages if _maps(entry, p)), None)
            if page is None or entry.level != 1:
                yield where, f"{_name(live)}: {_foreign(entry)}"
            else:
                missing.discard(page)
    except OutsideRam as error:
        yield live.tables[0], f"{_name(live)}: {error}"
    for lost in live.pages:
        if lost in missing:
            text = f"its {lost.role} is not mapped at {lost.virtual:#018x}"
            yield lost.physical, f"{_name(live)}: {text}"


def _entries(tables: PageTables) -> Iterator[Translation]:
    return tables.entries(_MOST_ENTRIES)


def _is_of_el2(tables: PageTables, found: Translation) -> bool:
    """Whether AP[1] is set in a leaf: RES1 in a regime of one privilege level, and EL0's access in
    that of EL1, which a CPU's own pages do not give (Arm ARM D8.4)."""
    return bool(tables.format.is_leaf(found.entry, found.level) and found.entry & _AP1)


def _maps(entry: Translation, page: LivePage) -> bool:
    rights = "r" + "w" * page.writable + "x" * page.executable
    return (entry.begin, entry.physical, entry.rights) == (page.virtual, page.physical, rights)


def _foreign(entry: Translation) -> str:
    rights = "".join(right if right in entry.rights else "-" for right in "rwx")
    where = f"{entry.begin:#018x} maps {entry.physical:#018x}"
    return f"{where} ({entry.size:#x} bytes, {rights}), no page of its own"


def _name(live: LiveCpu | None) -> str:
    return f"CPU {live.hardware_id:#x}, which runs on" if live else ""
