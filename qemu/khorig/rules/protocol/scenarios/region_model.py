# SPDX-License-Identifier: BSD-3-Clause
"""Model of a region in which a scenario preserves and unpreserves random blocks: one byte per page
(docs/scenarios.md), recomputed from the seed and compared with guest and tree."""

from __future__ import annotations

from typing import Callable

import numpy as np
import numpy.typing as npt

from khorig.kho.blocks import Blocks
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import SCENARIO
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

_TAIL = 0xFF

Pages = npt.NDArray[np.uint8]


def toggle_block(pages: bytearray, at: int, order: int) -> None:
    """Unpreserves the block at page `at`, or preserves it if none of its pages is preserved; else
    does nothing."""
    size = 1 << order
    if pages[at] == 1 + order:
        pages[at : at + size] = bytes(size)
    elif not any(pages[at : at + size]):
        pages[at : at + size] = bytes([1 + order]) + bytes([_TAIL]) * (size - 1)


def compare_pages(
    stop: Stop,
    store: str,
    found: tuple[int, Pages],
    expected: Pages,
    label: Callable[[int], str] = lambda page: "",
) -> list[Finding]:
    """The guest's model, address and bytes, matches the seed. `label` describes a page of the
    region."""
    region, pages = found
    wrong = np.flatnonzero(pages != expected)
    if not len(wrong):
        return []
    page = int(wrong[0])
    what = (
        f"page {page} of the region{label(page)}: {int(pages[page]):#04x} in the guest's model, "
        f"expected {int(expected[page]):#04x} ({len(wrong)} pages differ)"
    )
    address = region + (page << stop.geometry.page_shift)
    return [stop.finding(SCENARIO, what, address, f"khorig/stores/{store}")]


def compare_blocks(
    stop: Stop, sealed: Record, kind: str, area: PhysRange, wanted: Blocks
) -> list[Finding]:
    """The tree has exactly the `wanted` blocks in `area`; `kind` is their printed name."""
    shift = stop.geometry.page_shift
    blocks = sealed.snapshot.handover.blocks
    inside = blocks.select(blocks.touching([area], shift))
    tracked = set(zip(inside.frames.tolist(), inside.orders.tolist()))
    expected = set(zip(wanted.frames.tolist(), wanted.orders.tolist()))
    findings = []
    for text, odd in (
        ("is preserved, expected unpreserved", tracked - expected),
        ("is not preserved, expected preserved", expected - tracked),
    ):
        if odd:
            frame, order = min(odd)
            what = (
                f"{kind} {frame << shift:#018x} of order {order} {text}: lost tracker update "
                f"({len(odd)} of {len(expected)} blocks)"
            )
            owner = sealed.snapshot.owners.name(frame) or kind
            findings.append(stop.finding(SCENARIO, what, frame << shift, owner))
    return findings
