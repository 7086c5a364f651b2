# SPDX-License-Identifier: BSD-3-Clause
"""Where blocks and nodes may not lie."""

from __future__ import annotations

from typing import Sequence

from khorig.kho.handover import Handover
from khorig.mem.errors import Problem, Problems
from khorig.mem.memory import PhysRange


def check_placement(handover: Handover, scratch: Sequence[PhysRange]) -> tuple[Problem, ...]:
    """Neither a node of the tree nor a preserved block lies in scratch, and no node in a block.

    Ids: "inside-scratch", "overlap".
    """
    geometry = handover.geometry
    problems, of_blocks = Problems("node"), Problems("block")
    for node in handover.tree.nodes:
        if any(a.overlaps(node.address, geometry.page_size) for a in scratch):
            text = "a node of the radix tree lies in scratch"
            problems.add("inside-scratch", node.address, text)
        if handover.index.find(node.address >> geometry.page_shift):
            text = "a node of the radix tree lies inside a preserved block"
            problems.add("overlap", node.address, text)
    blocks = handover.blocks
    inside = blocks.select(blocks.touching(scratch, geometry.page_shift))
    for frame, order in zip(inside.frames[: Problems.LIMIT].tolist(), inside.orders.tolist()):
        text = f"a preserved block of order {order} lies in scratch"
        of_blocks.add("inside-scratch", frame << geometry.page_shift, text)
    return (*problems.items, *of_blocks.items)
