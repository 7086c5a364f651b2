# SPDX-License-Identifier: BSD-3-Clause
"""Where blocks and nodes may not lie."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from khorig.kho.blocks import Blocks
from khorig.kho.handover import Handover
from khorig.mem.errors import Problem, Problems
from khorig.mem.memory import PhysRange


def check_placement(handover: Handover, scratch: Sequence[PhysRange]) -> tuple[Problem, ...]:
    """Neither a node of the tree nor a preserved block lies in scratch, and no node in a block.

    Ids: "inside-scratch", "overlap".
    """
    geometry = handover.geometry
    problems, of_blocks = Problems("node"), Problems("block")
    addresses = np.array([node.address for node in handover.tree.nodes], dtype=np.int64)
    nodes = Blocks(addresses >> geometry.page_shift, np.zeros_like(addresses))
    in_scratch = nodes.touching(scratch, geometry.page_shift)
    in_block, _ = handover.index.find_all(nodes.frames)
    for wrong, id, text in (
        (in_scratch, "inside-scratch", "a node of the radix tree lies in scratch"),
        (in_block, "overlap", "a node of the radix tree lies inside a preserved block"),
    ):
        for address in addresses[wrong][: Problems.LIMIT].tolist():
            problems.add(id, address, text)
    blocks = handover.blocks
    inside = blocks.select(blocks.touching(scratch, geometry.page_shift))
    for frame, order in zip(inside.frames[: Problems.LIMIT].tolist(), inside.orders.tolist()):
        text = f"a preserved block of order {order} lies in scratch"
        of_blocks.add("inside-scratch", frame << geometry.page_shift, text)
    return (*problems.items, *of_blocks.items)
