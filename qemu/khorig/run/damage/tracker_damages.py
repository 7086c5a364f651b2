# SPDX-License-Identifier: BSD-3-Clause
"""Damage to the tracker."""

from __future__ import annotations

from khorig.run.damage.damage import Damage
from khorig.run.tamper.target import CannotTamper, Target

_ORDER = 2
_LOW_PAGE = 0x90000  # where Linux puts its real-mode trampoline


def _free_block(target: Target) -> str:
    spare = target.spare_pages()
    size = target.geometry.page_size << _ORDER
    begin = next(page for page in spare if page % size == 0)
    while next(spare) < begin + size:
        pass  # of the block itself
    target.set_key(target.geometry.key(begin, _ORDER), spare)
    return f"free block {begin:#018x} of order {_ORDER} stays in the tracker"


def _dangling_node(target: Target) -> str:
    slot, _ = next(target.leaf_slots())
    table = slot & ~(target.geometry.page_size - 1)
    page = next(target.spare_pages())
    for empty in range(table, table + target.geometry.page_size, 8):
        if target.ram.read_u64(empty) == 0:
            target.write_u64(empty, page)
            return f"table entry at {empty:#018x} points to the free page {page:#018x}"
    raise CannotTamper("the table is full")


def _low_block(target: Target) -> str:
    target.set_key(target.geometry.key(_LOW_PAGE, 0), target.spare_pages())
    return f"{_LOW_PAGE:#x} marked preserved"


def _wrapped_order(target: Target) -> str:
    """The largest block with the order that is left of its size in too few bits."""
    blocks = target.handover.blocks
    at = int(blocks.orders.argmax())
    begin, order = int(blocks.frames[at]) << target.geometry.page_shift, int(blocks.orders[at])
    if not order:
        raise CannotTamper("no preserved block larger than a page")
    target.clear_key(target.geometry.key(begin, order))
    target.set_key(target.geometry.key(begin, 0), target.spare_pages())
    return f"block {begin:#018x} of order {order} preserved as one of order 0"


def _overwritten_node(target: Target) -> str:
    _, leaf = next(target.leaf_slots())
    target.ram.write(leaf + 128, b"reused")
    return f"leaf {leaf:#018x} written as if it were free"


def _page_of_largest(target: Target) -> int:
    blocks = target.handover.blocks
    return int(blocks.frames[blocks.orders.argmax()]) << target.geometry.page_shift


def _early_allocation(target: Target) -> str:
    page = _page_of_largest(target)
    target.ram.write(page + 64, b"early page table")
    return f"preserved page {page:#018x} written before it is restored"


def _zeroed_page(target: Target) -> str:
    page = _page_of_largest(target)
    target.ram.write(page, bytes(target.geometry.page_size))
    return f"preserved page {page:#018x} zeroed before it is restored"


TRACKER_DAMAGES = (
    Damage("free-block-preserved", "a block is free and still in the tracker", _free_block),
    Damage("dangling-node", "a table points to a page that is free", _dangling_node),
    Damage("low-block", "a page below 1 MiB is preserved", _low_block),
    Damage("wrapped-order", "the largest block is preserved as a page", _wrapped_order),
    Damage("node-reused", "a leaf is written after the seal", _overwritten_node, seen=False),
    Damage(
        "page-reused",
        "a preserved page is written before it is restored",
        _early_allocation,
        "entry",
        2,
        seen=False,
    ),
    Damage(
        "page-zeroed",
        "a preserved page is zeroed before it is restored",
        _zeroed_page,
        "entry",
        2,
        seen=False,
    ),
)
