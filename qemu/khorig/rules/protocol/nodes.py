# SPDX-License-Identifier: BSD-3-Clause
"""NUMA nodes of the machine."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import NODES
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

Node = tuple[int, tuple[PhysRange, ...]]  # number, memory


def nodes_in(ram: Sequence[PhysRange], sizes: Sequence[int], page_size: int) -> list[Node]:
    """The nodes with memory of a machine whose RAM is `ram`, ascending: QEMU fills it node after
    node. A page with a boundary of nodes in it is the lower one's."""
    nodes = []
    rest = list(ram)
    for number, size in enumerate(sizes):
        areas = []
        while size and rest:
            area = rest.pop(0)
            taken = min(size, area.size)
            size -= taken
            if taken < area.size:
                rest.insert(0, PhysRange(area.begin + taken, area.size - taken))
            begin, end = (-at // page_size * -page_size for at in (area.begin, area.begin + taken))
            if begin < end:
                areas.append(PhysRange(begin, end - begin))
        if areas:
            nodes.append((number, tuple(areas)))
    return nodes


def check_nodes(stop: Stop, sealed: Record) -> list[Finding]:
    """No preserved block and no area of scratch is in two nodes, and each node has an area."""
    geometry, snapshot = stop.geometry, sealed.snapshot
    nodes = nodes_in(stop.memory.ranges, stop.spec.numa, geometry.page_size)
    areas = sorted(area for _, areas in nodes for area in areas)
    blocks = snapshot.handover.blocks
    findings = []
    for at in np.flatnonzero(~blocks.inside(areas, geometry.page_shift)):
        begin = int(blocks.frames[at]) << geometry.page_shift
        block = PhysRange(begin, geometry.page_size << int(blocks.orders[at]))
        what = f"block {block} of order {int(blocks.orders[at])} is in nodes {_in(nodes, block)}"
        owner = snapshot.owners.name(begin >> geometry.page_shift)
        findings.append(stop.finding(NODES, what, begin, owner))
    scratch = [area for area in snapshot.scratch or () if area.size]
    for area in scratch:
        if len(_touched(nodes, area)) > 1:
            what = f"scratch area {area} is in nodes {_in(nodes, area)}"
            findings.append(stop.finding(NODES, what, area.begin))
    # Low memory and global come first (Linux, kho_reserve_scratch).
    own = {number for area in scratch[2:] for number in _touched(nodes, area)}
    for number, memory in nodes:
        if number not in own:
            what = f"node {number} has no scratch area of its own: {memory[0]}"
            findings.append(stop.finding(NODES, what, memory[0].begin))
    return findings


def _touched(nodes: Sequence[Node], area: PhysRange) -> list[int]:
    return [
        number
        for number, memory in nodes
        if any(part.overlaps(area.begin, area.size) for part in memory)
    ]


def _in(nodes: Sequence[Node], area: PhysRange) -> str:
    return " and ".join(map(str, _touched(nodes, area)))
