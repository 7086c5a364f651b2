# SPDX-License-Identifier: BSD-3-Clause
"""Memory of a dead kernel under its crash kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from khorig.kho.blocks import BoolArray, Int64Array
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop
from khorig.rules.temporal.definitions import CRASH_MEMORY
from khorig.rules.temporal.page_hashes import AllHashes, hash_all

_OTHERS = 6  # further pages named
_SHIFT = GEOMETRY_4K.page_shift
# Every Linux for x86_64 reserves it; crash kernels use it (crash_setup_memmap_entries).
LOW_MEMORY = PhysRange(0, 1 << 20)


@dataclass(frozen=True, eq=False)
class CrashMemory:
    """All pages of the machine when the crash kernel was entered."""

    generation: int  # that died
    hashes: AllHashes

    @staticmethod
    def of(stop: Stop) -> CrashMemory:
        """At the crash kernel's first instruction."""
        return CrashMemory(stop.generation - 1, hash_all(stop.memory, GEOMETRY_4K))

    def compare(
        self,
        stop: Stop,
        own: tuple[PhysRange, ...],
        ram: tuple[PhysRange, ...],
        snapshot: Snapshot | None,
    ) -> tuple[list[Finding], int]:
        """One finding if pages changed that are not the crash kernel's, and the number of pages
        that were compared: those that are not empty. `ram` is the RAM of the dead kernel: what else
        there is belongs to firmware, whose runtime services write to it. `snapshot` has the
        owners."""
        now = hash_all(stop.memory, GEOMETRY_4K)
        known = np.union1d(self.hashes.pages.frames, now.pages.frames)
        is_own = _inside(known, own_memory(own, stop.arch))
        frames: Int64Array = known[_inside(known, ram) & ~is_own]
        before, after = self.hashes.of(frames), now.of(frames)
        changed = before.differing(after).tolist()
        if not changed:
            return [], len(frames)
        first, *others = changed
        what = (
            f"page {first << _SHIFT:#018x} of the dead kernel changed: hash "
            f"{before.of(first):#018x} at entry, {after.of(first):#018x} at {stop.at} in "
            f"generation {stop.generation}"
        )
        evidence = [f"{len(others)} more changed pages:"] if others else []
        evidence += [
            f"  {frame << _SHIFT:#018x} {_owner(snapshot, frame)}".rstrip()
            for frame in others[:_OTHERS]
        ]
        owner = _owner(snapshot, first)
        return [stop.finding(CRASH_MEMORY, what, first << _SHIFT, owner, tuple(evidence))], len(
            frames
        )


def own_memory(areas: tuple[PhysRange, ...], arch: str) -> tuple[PhysRange, ...]:
    """What a crash kernel may write to."""
    return (*areas, LOW_MEMORY) if arch == "x86_64" else areas


def _inside(frames: Int64Array, areas: tuple[PhysRange, ...]) -> BoolArray:
    """Which pages lie in one of them, all or in part."""
    inside = np.zeros(len(frames), dtype=bool)
    for area in areas:
        inside |= (frames >= area.begin >> _SHIFT) & (frames < -(-area.end >> _SHIFT))
    return inside


def _owner(snapshot: Snapshot | None, frame: int) -> str:
    if snapshot is None or snapshot.geometry.page_shift != _SHIFT:
        return ""
    return snapshot.describe(frame)
