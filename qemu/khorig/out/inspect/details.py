# SPDX-License-Identifier: BSD-3-Clause
"""What `khorig inspect` shows when it is asked: tree, blocks, owners, device trees."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.kho.fdt import FdtNode
from khorig.kho.fragment import string_property
from khorig.kho.inspection import Inspection
from khorig.out.text import size

_MAX_BYTES = 64  # of a property


def tree_lines(inspection: Inspection) -> Iterator[str]:
    """The fragments and blobs below the root, as they hang together."""
    handover = inspection.handover
    entries: list[tuple[str, str]] = []
    for fragment in handover.fragments:
        kind = fragment.compatible or "no compatible"
        entries.append((fragment.path, f"{fragment.address:#018x}  {fragment.size} bytes  {kind}"))
    for link in handover.blobs:
        entries.append((link.path, f"{link.blob.begin:#018x}  {link.blob.size} bytes  plain"))
    for path, text in sorted(entries, key=lambda entry: entry[0].split("/")):
        depth = path.count("/")
        name = path.rsplit("/", 1)[-1] or "/"
        yield f"{'  ' * depth + name:<40} {text}"


def owners_of_blocks(inspection: Inspection) -> list[str]:
    """The owner of the first page of each preserved block."""
    owners = inspection.owners
    at = np.searchsorted(owners.frames, inspection.handover.blocks.frames)
    names = [*owners.names, "nobody"]
    return [names[number] for number in owners.ids[at].tolist()]


def page_lines(inspection: Inspection) -> Iterator[str]:
    """Every preserved block: address, order, owner."""
    blocks = inspection.handover.blocks
    owners = owners_of_blocks(inspection)
    shift = inspection.geometry.page_shift
    for number in np.argsort(blocks.frames, kind="stable").tolist():
        address = int(blocks.frames[number]) << shift
        yield f"{address:#018x}  order {int(blocks.orders[number]):<2}  {owners[number]}"


def pages_by_owner(inspection: Inspection) -> list[tuple[str, int, int]]:
    """(owner, pages, address of the first page), those with most pages first."""
    owners = inspection.owners
    counts = np.bincount(owners.ids + 1, minlength=len(owners.names) + 1)
    first: dict[int, int] = {}
    ids, places = np.unique(owners.ids, return_index=True)
    for number, place in zip(ids.tolist(), places.tolist()):
        first[number] = int(owners.frames[place]) << inspection.geometry.page_shift
    found = [
        (owners.names[number] if number >= 0 else "nobody", int(counts[number + 1]), address)
        for number, address in first.items()
    ]
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))


def owner_lines(inspection: Inspection) -> Iterator[str]:
    """How much belongs to whom."""
    shift = inspection.geometry.page_shift
    for owner, pages, first in pages_by_owner(inspection):
        noun = "pages" if pages != 1 else "page "
        yield f"{pages:>9} {noun}  {size(pages << shift):>10}  from {first:#018x}  {owner}"


def dts_lines(inspection: Inspection) -> Iterator[str]:
    """Every fragment as source of a device tree, with 64-bit values as the CPU has them."""
    for fragment in inspection.handover.fragments:
        yield f"// {fragment.path or 'root'} at {fragment.address:#x}, {fragment.size} bytes"
        yield from node_lines(fragment.tree, 0)


def node_lines(tree: FdtNode, depth: int) -> Iterator[str]:
    """A node and all below it. Without recursion: a tree may be as deep as its page allows."""
    pending: list[tuple[FdtNode | None, int]] = [(tree, depth)]
    while pending:
        node, level = pending.pop()
        indent = "\t" * level
        if node is None:
            yield f"{indent}}};"
            continue
        yield f"{indent}{node.name or '/'} {{"
        for name in node.properties:
            yield f"{indent}\t{name}{_value(node, name)};"
        pending.append((None, level))
        pending += [(child, level + 1) for child in reversed(node.children)]


def _value(node: FdtNode, name: str) -> str:
    raw = node.properties[name]
    text = string_property(node, name)
    if not raw:
        return ""
    if text and text.isprintable():
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f' = "{escaped}"'
    if len(raw) == 8:
        return f" = /* u64 {int.from_bytes(raw, 'little'):#x} */ [{raw.hex(' ')}]"
    more = "" if len(raw) <= _MAX_BYTES else f" /* {len(raw) - _MAX_BYTES} more bytes */"
    return f" = [{raw[:_MAX_BYTES].hex(' ')}]{more}"
