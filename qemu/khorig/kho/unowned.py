# SPDX-License-Identifier: BSD-3-Clause
"""Preserved pages that nobody names."""

from __future__ import annotations

import numpy as np

from khorig.kho.blocks import Blocks, Int64Array
from khorig.kho.owners import Owners


def pages_of_nobody(blocks: Blocks, owners: Owners) -> Int64Array:
    """The frames of preserved pages that no structure names. What a block has behind a blob that
    does not fill it is the blob's owner's: blocks are handed over as a whole. `blocks` are
    disjoint, and those that `owners` are of."""
    unowned = owners.unowned
    heads = np.sort(blocks.frames)
    head_of = heads[np.searchsorted(heads, unowned, side="right") - 1]
    owner_of_head = owners.ids[np.searchsorted(owners.frames, head_of)]
    result: Int64Array = unowned[owner_of_head < 0]
    return result
