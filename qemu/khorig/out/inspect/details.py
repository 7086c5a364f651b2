# SPDX-License-Identifier: BSD-3-Clause
"""Options of `khorig inspect`: tree, blocks, owners, device trees."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.kho.fdt import FdtNode
from khorig.kho.fragment import string_property
from khorig.kho.owners import NOBODY
from khorig.kho.snapshot import Snapshot
from khorig.out.text import size

_MAX_BYTES = 64  # of a property


def tree_lines(snapshot: Snapshot) -> Iterator[str]:
    """The tree of fragments and blobs."""
    handover = snapshot.handover
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


def owners_of_blocks(snapshot: Snapshot) -> list[str]:
    """The owner of the first page of each preserved block."""
    owners = snapshot.owners
    names = [*owners.names, NOBODY]
    return [names[number] for number in owners.ids_of(snapshot.handover.blocks.frames).tolist()]


def page_lines(snapshot: Snapshot) -> Iterator[str]:
    """Every preserved block: address, order, owner."""
    blocks = snapshot.handover.blocks
    owners = owners_of_blocks(snapshot)
    shift = snapshot.geometry.page_shift
    for number in np.argsort(blocks.frames, kind="stable").tolist():
        address = int(blocks.frames[number]) << shift
        yield f"{address:#018x}  order {int(blocks.orders[number]):<2}  {owners[number]}"


def pages_by_owner(snapshot: Snapshot) -> list[tuple[str, int, int]]:
    """(owner, pages, address of the first page), most pages first."""
    shift = snapshot.geometry.page_shift
    found = [
        (name, pages, first << shift) for name, pages, first in snapshot.owners.pages_by_owner()
    ]
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))


def owner_lines(snapshot: Snapshot) -> Iterator[str]:
    """Memory per owner."""
    shift = snapshot.geometry.page_shift
    for owner, pages, first in pages_by_owner(snapshot):
        noun = "pages" if pages != 1 else "page "
        yield f"{pages:>9} {noun}  {size(pages << shift):>10}  from {first:#018x}  {owner}"


def dts_lines(snapshot: Snapshot) -> Iterator[str]:
    """Every fragment as device tree source, 64-bit values in CPU byte order."""
    for fragment in snapshot.handover.fragments:
        yield f"// {fragment.path or 'root'} at {fragment.address:#x}, {fragment.size} bytes"
        yield from node_lines(fragment.tree, 0)


def node_lines(tree: FdtNode, depth: int) -> Iterator[str]:
    """A node and its subtree. Not recursive: the depth is limited only by the page size."""
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
