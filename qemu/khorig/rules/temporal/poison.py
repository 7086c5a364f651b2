# SPDX-License-Identifier: BSD-3-Clause
"""Pages that a Linux of the chain took out of use for memory errors: no kernel uses them again."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.guest.chain_run import is_linux
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.struct_pages import find_struct_pages
from khorig.mem.vmcoreinfo import find_vmcoreinfo
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop
from khorig.rules.temporal.definitions import POISON

_MOST = 6  # findings


class Poison:
    """Remembers by whom a page was reported bad: a kernel behind does not know any more."""

    def __init__(self) -> None:
        self._bad: dict[int, int] = {}  # generation by address
        self._told: set[tuple[int, str]] = set()

    def check(self, stop: Stop, snapshot: Snapshot | None) -> list[Finding]:
        """At `sealed` of a Linux its bad pages are read; at every stop none is in use."""
        if stop.at == "sealed" and is_linux(stop.spec.kernel_of(stop.generation)):
            self._read(stop)
        findings = []
        for address, use in self._uses(stop, snapshot) if self._bad else ():
            if (address, use) in self._told:
                continue
            self._told.add((address, use))
            by = f"page {address:#018x} was reported bad by generation {self._bad[address]}"
            what = f"{by} and {use}"
            owner = snapshot.describe(address >> stop.geometry.page_shift) if snapshot else ""
            findings.append(stop.finding(POISON, what, address, owner))
        return findings[:_MOST]

    def _read(self, stop: Stop) -> None:
        try:
            found = find_struct_pages(stop.memory, find_vmcoreinfo(stop.memory), stop.arch)
            if found is None:
                return
            for frame in found.poisoned_frames(stop.memory).tolist():
                self._bad.setdefault(frame << stop.geometry.page_shift, stop.generation)
        except DecodeError:
            return  # page tables that lead out of RAM are no Linux's

    def _uses(self, stop: Stop, snapshot: Snapshot | None) -> Iterator[tuple[int, str]]:
        for segment in stop.facts.segments.items if stop.facts.segments else ():
            for address in self._bad:
                if segment.area.contains(address, 1):
                    yield address, f"is the destination of the segment {segment.name}"
        if snapshot is None:
            return
        addresses = np.array(sorted(self._bad), dtype=np.int64)
        frames = addresses >> snapshot.geometry.page_shift
        for address in addresses[snapshot.owners.are_preserved(frames)].tolist():
            yield address, "is preserved"
        for address in addresses[np.isin(frames, snapshot.node_frames)].tolist():
            yield address, "holds a node of the tracker"
        for number, area in enumerate(snapshot.scratch or ()):
            for address in addresses.tolist():
                if area.contains(address, 1):
                    yield address, f"is part of scratch area {number}"
