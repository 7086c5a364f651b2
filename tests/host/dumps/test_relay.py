# SPDX-License-Identifier: BSD-3-Clause
"""Which pages a kernel in between must hand on with their content."""

from __future__ import annotations

from dumps.sample import Sample

from khorig.rules.temporal.record import take_record
from khorig.rules.temporal.relayed import relayed_pages


def test_pages_that_are_written_anew_do_not_count() -> None:
    """By chance they may lie where those of the kernel before lay."""
    sample = Sample().finish()
    snapshot = sample.snapshot()
    handover = snapshot.handover
    record = take_record(1, "sealed", snapshot)
    kept = set(relayed_pages(record, record).frames.tolist())
    anew = set(record.hashes.frames.tolist()) - kept
    links = {"memblock", "kexec-metadata"}
    own = [
        int.from_bytes(node.properties["preserved-data"], "little")
        for node in handover.root.tree.children
        if node.name in links
    ]
    assert anew == {address >> 12 for address in (handover.root.address, *own)} and len(own) == 2
    [area] = snapshot.clients.reserved[:1]
    assert area.area.begin >> 12 in kept
