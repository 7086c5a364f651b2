# SPDX-License-Identifier: BSD-3-Clause
"""All of memory before a jump, when it is not yet known what of it is handed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np
import xxhash

from khorig.kho.blocks import Int64Array
from khorig.mem.guest_ram import GuestRam
from khorig.rules.finding import Finding
from khorig.rules.page_changes import owner_of
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop

_PAGE = 4096
_CHUNK = 256 << 10  # bytes looked at in one go; most of RAM was never written

# What Linux writes between the last word of its user space and the jump: the orchestrator
# serializes its sessions on the way down.
_WRITTEN_LATE = ("LUO",)
_UNKNOWN = "nobody"  # what hangs from a client's plain struct has no owner for us


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Hashes of all pages that are not zero."""

    generation: int
    hashes: Mapping[int, int]  # XXH64 by page frame
    zero: int  # hash of a page of zeros

    def compare(self, stop: Stop, arrived: SealedState) -> list[Finding]:
        """Every page that arrived is as it was before the jump, but for what the kernel is known to
        write on its way down."""
        changed = [
            int(frame)
            for frame, value in zip(arrived.hashes.frames, arrived.hashes.values)
            if self.hashes.get(int(frame), self.zero) != int(value)
        ]
        wrong = [f for f in changed if not self._may_change(arrived, f)]
        if not wrong:
            return []
        first = wrong[0]
        before = self.hashes.get(first, self.zero)
        what = (
            f"page {first * _PAGE:#018x} changed: hash {before:#018x} in generation "
            f"{self.generation}, {arrived.hashes.of(first):#018x} at {stop.at}"
        )
        others = tuple(
            f"{frame * _PAGE:#018x} {owner_of(arrived, frame, stop)}" for frame in wrong[1:7]
        )
        owner = owner_of(arrived, first, stop)
        return [stop.finding("entry hashes", what, first * _PAGE, owner, others)]

    @staticmethod
    def _may_change(arrived: SealedState, frame: int) -> bool:
        owner = arrived.owners.name(frame)
        names = {blob.path.lstrip("/") for blob in arrived.handover.blobs}
        has_sessions = not names.isdisjoint(_WRITTEN_LATE)
        return owner.split()[0] in _WRITTEN_LATE or (has_sessions and owner == _UNKNOWN)


def take_snapshot(ram: GuestRam, generation: int) -> Snapshot:
    """Hashes all of RAM. Takes about a second for each GiB in use."""
    digest = xxhash.xxh64_intdigest
    hashes: dict[int, int] = {}
    for region in ram.regions:
        for begin in range(region.gpa, region.end, _CHUNK):
            size = min(_CHUNK, region.end - begin)
            if not ram.written(begin, size):
                continue
            with ram.view(begin, size) as view:
                for at in _used_pages(view, size):
                    page = view[int(at) * _PAGE : (int(at) + 1) * _PAGE]
                    hashes[(begin >> 12) + int(at)] = digest(page)
                    page.release()
    return Snapshot(generation, hashes, digest(bytes(_PAGE)))


def _used_pages(view: memoryview, size: int) -> Int64Array:
    words = np.frombuffer(view, dtype=np.uint64)
    if not words.any():
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(words.reshape(size // _PAGE, -1).any(axis=1))
