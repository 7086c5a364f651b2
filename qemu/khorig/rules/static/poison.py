# SPDX-License-Identifier: BSD-3-Clause
"""What lies on pages that a kernel of the chain took out of use."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.kho.clients.formats.hwpoison import HWPOISON_NAME, PoisonedPages
from khorig.kho.snapshot import Snapshot

Breach = tuple[int, str]  # address, text


def poisoned_pages_unused(snapshot: Snapshot) -> Iterator[Breach]:
    """None of them is preserved, holds the tracker, or lies in scratch."""
    client = snapshot.outside.get(HWPOISON_NAME)
    poisoned = client.state if client else None
    if not isinstance(poisoned, PoisonedPages):
        return
    shift = snapshot.geometry.page_shift
    frames = np.unique(poisoned.frames)
    preserved = snapshot.owners.are_preserved(frames)
    for frame in frames[preserved].tolist():
        owner = snapshot.describe(frame)
        yield frame << shift, f"poisoned page is preserved, by {owner}"
    for frame in np.intersect1d(frames, snapshot.node_frames).tolist():
        yield frame << shift, "poisoned page holds a node of the tracker"
    for number, area in enumerate(snapshot.scratch or ()):
        inside = (frames >= area.begin >> shift) & (frames < -(-area.end >> shift))
        for frame in frames[inside].tolist():
            yield frame << shift, f"poisoned page is in scratch area {number}"
