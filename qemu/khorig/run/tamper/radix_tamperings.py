# SPDX-License-Identifier: BSD-3-Clause
"""Tamperings of the radix tree."""

from __future__ import annotations

from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import CannotTamper, Target


def _first_leaf(target: Target) -> tuple[int, int]:
    for slot, leaf in target.leaf_slots():
        return slot, leaf
    raise CannotTamper("the tree has no leaf")


def _repoint(target: Target, value: int, what: str) -> str:
    slot, _ = _first_leaf(target)
    target.write_u64(slot, value)
    return f"table entry at {slot:#018x} set to {value:#018x}, {what}"


def _to_itself(target: Target) -> str:
    slot, _ = _first_leaf(target)
    table = slot & ~(target.geometry.page_size - 1)
    return _repoint(target, table, "its own table")


def _to_root(target: Target) -> str:
    return _repoint(target, target.handover.tree.root, "the tree's root")


def _shared(target: Target) -> str:
    """Links one leaf from two slots of a table."""
    slot, leaf = _first_leaf(target)
    table = slot & ~(target.geometry.page_size - 1)
    for other in range(table, table + target.geometry.page_size, 8):
        if target.ram.read_u64(other) == 0:
            target.write_u64(other, leaf)
            return f"table entry at {other:#018x} also set to leaf {leaf:#018x}"
    raise CannotTamper("the table is full")


def _unaligned(target: Target) -> str:
    return _repoint(target, _first_leaf(target)[1] + 16, "unaligned")


def _beyond_ram(target: Target) -> str:
    return _repoint(target, target.end_of_ram, "beyond RAM")


def _in_scratch(target: Target) -> str:
    page = target.scratch[-1].end - target.geometry.page_size
    return _repoint(target, page, "in scratch")


def _node_preserved(target: Target) -> str:
    _, leaf = _first_leaf(target)
    target.set_key(target.geometry.key(leaf, 0), target.spare_pages())
    return f"leaf {leaf:#018x} marked preserved"


def _no_order(target: Target) -> str:
    target.set_key(0, target.spare_pages())
    return "key 0 set, without an order bit"


def _above_order_0(target: Target) -> str:
    key = 1 << target.geometry.order_0_bit + 1
    target.set_key(key, target.spare_pages())
    return f"key {key:#x} set, highest bit above that of order 0"


def _block(target: Target, address: int, order: int, what: str) -> str:
    target.set_key(target.geometry.key(address, order), target.spare_pages())
    return f"block {address:#018x} of order {order} marked preserved, {what}"


def _block_beyond_ram(target: Target) -> str:
    return _block(target, target.end_of_ram, 0, "beyond RAM")


def _block_in_scratch(target: Target) -> str:
    page = target.scratch[-1].end - target.geometry.page_size
    return _block(target, page, 0, "in scratch")


def _overlap(target: Target) -> str:
    """Preserves a page of a larger block again."""
    blocks = target.handover.blocks
    for frame, order in zip(blocks.frames.tolist(), blocks.orders.tolist()):
        if order > 0:
            page = (frame << target.geometry.page_shift) + target.geometry.page_size
            return _block(target, page, 0, f"inside one of order {order}")
    raise CannotTamper("no preserved block larger than a page")


RADIX_TAMPERINGS = (
    Tampering("node-to-itself", "radix-cycle", _to_itself),
    Tampering("node-to-root", "radix-cycle", _to_root),
    Tampering("node-shared", "radix-cycle", _shared),
    Tampering("node-unaligned", "unaligned", _unaligned),
    Tampering("node-beyond-ram", "outside-ram", _beyond_ram),
    Tampering("node-in-scratch", "inside-scratch", _in_scratch),
    Tampering("node-preserved", "overlap", _node_preserved),
    Tampering("key-without-order", "order-range", _no_order),
    Tampering("key-above-order-0", "order-range", _above_order_0),
    Tampering("block-beyond-ram", "outside-ram", _block_beyond_ram),
    Tampering("block-in-scratch", "inside-scratch", _block_in_scratch),
    Tampering("blocks-overlap", "overlap", _overlap),
)
