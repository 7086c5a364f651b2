# SPDX-License-Identifier: BSD-3-Clause
"""Counts a handover. Separate from Statistics, because the decoder is slow to import."""

from __future__ import annotations

from khorig.kho.snapshot import Snapshot
from khorig.run.judging import Statistics


def count_handover(counted: Statistics, snapshot: Snapshot) -> None:
    """Adds one kernel's handover: keeps the largest values over all generations."""
    handover = snapshot.handover
    pages = handover.blocks.page_count
    counted.preserved_blocks = max(counted.preserved_blocks, len(handover.blocks))
    counted.preserved_pages = max(counted.preserved_pages, pages)
    counted.preserved_bytes = counted.preserved_pages << snapshot.geometry.page_shift
    counted.fragments = max(counted.fragments, len(handover.fragments))
    counted.fragment_depth = max(counted.fragment_depth, handover.depth)
    counted.radix_nodes = max(counted.radix_nodes, len(handover.tree.nodes))
