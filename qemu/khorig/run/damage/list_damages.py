# SPDX-License-Identifier: BSD-3-Clause
"""Damage to a list of blocks in Linux's vmalloc form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from khorig.kho.clients.khorig import STORES_PATH, Store, decode_clients
from khorig.kho.vmalloc import STRUCT
from khorig.mem.memory import RamMemory
from khorig.run.damage.damage import Damage
from khorig.run.tamper.target import CannotTamper, Target

_LARGEST_ORDER = 63


@dataclass(frozen=True, eq=False)
class _List:
    """The longest list of a handover."""

    target: Target
    store: Store

    @property
    def chunk(self) -> int:
        """Address of its first chunk."""
        return self.store.vmalloc.chunks[0]

    @property
    def count(self) -> int:
        """Of the blocks in its first chunk."""
        return min(len(self.store.vmalloc.blocks), self.target.geometry.chunk_entries)

    def entry(self, index: int) -> int:
        """Address of the entry of a block in the first chunk."""
        return self.chunk + 8 + 8 * index

    def block(self, index: int) -> int:
        """Address of a block."""
        return self.target.ram.read_u64(self.entry(index))

    def head(self, pages: int | None = None, order: int | None = None) -> None:
        """Overwrites the description."""
        vmalloc = self.store.vmalloc
        raw = STRUCT.pack(
            vmalloc.first,
            vmalloc.total_pages if pages is None else pages,
            vmalloc.flags,
            vmalloc.order if order is None else order,
        )
        fragment = self.target.fragment(STORES_PATH)
        self.target.set_property(fragment.address, f"/{self.store.name}", "vmalloc", raw)


def _stores(target: Target) -> list[Store]:
    clients = decode_clients(RamMemory(target.ram), target.handover)
    stores = sorted(clients.stores.values(), key=lambda s: len(s.vmalloc.blocks), reverse=True)
    if len(stores) < 2 or len(stores[0].vmalloc.blocks) < 2:
        raise CannotTamper("no list of blocks")
    return stores


def _on_list(edit: Callable[[_List], str]) -> Callable[[Target], str]:
    def apply(target: Target) -> str:
        found = _List(target, _stores(target)[0])
        return f"list of store '{found.store.name}': {edit(found)}"

    return apply


def _truncated(found: _List) -> str:
    found.target.write_u64(found.entry(found.count - 1), 0)
    return f"block {found.count - 1} missing"


def _counted_short(found: _List) -> str:
    pages = found.store.vmalloc.total_pages & 0xF
    found.head(pages=pages)
    return f"{found.store.vmalloc.total_pages} pages counted as {pages}"


def _chunk_cycle(found: _List) -> str:
    found.target.write_u64(found.chunk, found.chunk)
    return f"chunk {found.chunk:#018x} is its own next"


def _repeated(found: _List) -> str:
    found.target.write_u64(found.entry(1), found.block(0))
    return f"block 0 at {found.block(0):#018x} listed as block 1, too"


def _frame_number(found: _List) -> str:
    number = found.block(1) >> found.target.geometry.page_shift
    found.target.write_u64(found.entry(1), number)
    return f"block 1 has frame number {number:#x} as its address"


def _beyond_ram(found: _List) -> str:
    found.target.write_u64(found.entry(1), found.target.end_of_ram)
    return "block 1 is beyond RAM"


def _not_preserved(found: _List) -> str:
    page = next(found.target.spare_pages())
    found.target.write_u64(found.entry(1), page)
    return f"block 1 is {page:#018x}, a free page"


def _forgotten(found: _List) -> str:
    block, order = found.block(1), found.store.vmalloc.order
    found.target.clear_key(found.target.geometry.key(block, order))
    return f"block 1 at {block:#018x} is not preserved"


def _other_order(found: _List) -> str:
    found.head(order=_LARGEST_ORDER)
    return f"order {_LARGEST_ORDER}"


def _shared(target: Target) -> str:
    first, second = (_List(target, store) for store in _stores(target)[:2])
    target.write_u64(first.entry(1), second.block(0))
    return f"store '{first.store.name}' lists {second.block(0):#018x} of '{second.store.name}'"


LIST_DAMAGES = (
    Damage("list-truncated", "a list ends before its last block", _on_list(_truncated)),
    Damage("list-counted-short", "the count of a list has 4 bits", _on_list(_counted_short)),
    Damage("list-cycle", "a chunk of a list is its own next", _on_list(_chunk_cycle)),
    Damage("list-repeats", "a list has a block twice, and another not", _on_list(_repeated)),
    Damage("list-frame-number", "a frame number is taken for an address", _on_list(_frame_number)),
    Damage("list-beyond-ram", "a block of a list is no RAM", _on_list(_beyond_ram)),
    Damage("list-free-page", "a list has a page that is free", _on_list(_not_preserved)),
    Damage("list-forgotten", "a block of a list is not in the tracker", _on_list(_forgotten)),
    Damage("list-order", "a list has blocks of order 63", _on_list(_other_order)),
    Damage("list-shared", "two lists have the same block", _shared),
)
