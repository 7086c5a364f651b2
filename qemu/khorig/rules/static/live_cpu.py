# SPDX-License-Identifier: BSD-3-Clause
"""The pages of a CPU that runs on across jumps, and its page tables."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.kho.clients.live_cpu import LiveCpu, LivePage
from khorig.kho.clients.live_cpu_tables import Entry, walk_tables
from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import OutsideRam

Breach = tuple[int, str]  # address, text


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
    try:
        for entry in walk_tables(snapshot.memory, arch, live.tables, snapshot.geometry):
            if not entry.is_leaf:
                if entry.address not in live.tables:
                    text = f"table at {entry.address:#018x} is none of its own"
                    yield entry.address, f"{_name(live)}: {text}"
                continue
            page = next((p for p in live.pages if _maps(entry, p)), None)
            if page is None or entry.size != snapshot.geometry.page_size:
                yield entry.address, f"{_name(live)}: {_foreign(entry)}"
            else:
                missing.discard(page)
    except OutsideRam as error:
        yield live.tables[0], f"{_name(live)}: {error}"
    for lost in live.pages:
        if lost in missing:
            text = f"its {lost.role} is not mapped at {lost.virtual:#018x}"
            yield lost.physical, f"{_name(live)}: {text}"


def _maps(entry: Entry, page: LivePage) -> bool:
    return (entry.virtual, entry.address, entry.writable, entry.executable) == (
        page.virtual,
        page.physical,
        page.writable,
        page.executable,
    )


def _foreign(entry: Entry) -> str:
    rights = "r" + ("w" if entry.writable else "-") + ("x" if entry.executable else "-")
    where = f"{entry.virtual:#018x} maps {entry.address:#018x}"
    return f"{where} ({entry.size:#x} bytes, {rights}), no page of its own"


def _name(live: LiveCpu | None) -> str:
    return f"CPU {live.hardware_id:#x}, which runs on" if live else ""
