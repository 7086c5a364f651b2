# SPDX-License-Identifier: BSD-3-Clause
"""What the bytes of a page mean to the handover."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.kho.blocks import Blocks
from khorig.kho.clients.khorig import METADATA_PATH
from khorig.kho.clients.linux import Memfd
from khorig.kho.radix import RadixTree
from khorig.kho.snapshot import Snapshot
from khorig.kho.vmalloc import Vmalloc
from khorig.mem.memory import PhysRange
from khorig.out.inspect.client_lines import one_line
from khorig.out.inspect.details import node_lines

_FEW = 8  # of one kind
_LINES = 48  # of a device tree
_WIDTH = 200  # characters of a line


def meaning_lines(snapshot: Snapshot, address: int) -> list[str]:
    """What the page at `address` is to the handover, with what it says; none for a page that only
    holds somebody's data."""
    lines = [
        *_root(snapshot, address),
        *_node(snapshot, address),
        *_fragment(snapshot, address),
        *_lists(snapshot, address),
        *_luo(snapshot, address),
        *_decoded(snapshot, address),
        *_plain(snapshot, address),
    ]
    return [_printable(line) for line in lines]


def _printable(line: str) -> str:
    clean = "".join(char if char.isprintable() or char == "\t" else "?" for char in line)
    return clean.expandtabs(4)[:_WIDTH]


def _root(snapshot: Snapshot, address: int) -> Iterator[str]:
    for candidate in snapshot.candidates:
        if candidate.address == address:
            yield f"root of a handover, {candidate.state}"


def _node(snapshot: Snapshot, address: int) -> Iterator[str]:
    tree, geometry = snapshot.handover.tree, snapshot.geometry
    node = next((node for node in tree.nodes if node.address == address), None)
    if node is None:
        return
    yield f"node of the tracker, level {node.level}, prefix {node.prefix:#x}"
    if not isinstance(tree, RadixTree):
        return
    if node.level == 0:
        first = node.prefix << geometry.bitmap_log2
        bounds = np.array([first, first + (1 << geometry.bitmap_log2)], dtype=np.uint64)
        begin, end = np.searchsorted(tree.keys, bounds).tolist()
        blocks = tree.blocks.select(np.arange(begin, end))
        yield f"{len(blocks)} bits set{_these(blocks, geometry.page_shift)}"
        return
    below = node.prefix
    children = [
        (child.prefix & (1 << geometry.table_log2) - 1, child.address)
        for child in tree.nodes
        if child.level == node.level - 1 and child.prefix >> geometry.table_log2 == below
    ]
    shown = ", ".join(f"slot {slot}: {at:#018x}" for slot, at in children[:_FEW])
    yield f"{len(children)} nodes below{': ' if children else ''}{shown}{_more(len(children))}"


def _these(blocks: Blocks, page_shift: int) -> str:
    if not len(blocks):
        return ""
    shown = ", ".join(
        f"{frame << page_shift:#018x} order {order}"
        for frame, order in zip(blocks.frames[:_FEW].tolist(), blocks.orders[:_FEW].tolist())
    )
    return f": {shown}{_more(len(blocks))}"


def _more(count: int) -> str:
    return f", and {count - _FEW} more" if count > _FEW else ""


def _fragment(snapshot: Snapshot, address: int) -> Iterator[str]:
    page = PhysRange(address, snapshot.geometry.page_size)
    for fragment in snapshot.handover.fragments:
        if not page.overlaps(fragment.address, fragment.size):
            continue
        yield f"FDT of {fragment.path or 'the root'}, {fragment.size} bytes"
        lines = list(node_lines(fragment.tree, 0))
        yield from lines[:_LINES]
        if len(lines) > _LINES:
            yield f"{len(lines) - _LINES} more lines, see --dts"


def _all_lists(snapshot: Snapshot) -> Iterator[tuple[str, Vmalloc]]:
    for store in snapshot.clients.stores.values():
        yield f"store '{store.name}'", store.vmalloc
    if test := snapshot.linux.kho_test:
        yield "the array of kho_test", test.vmalloc
    luo = snapshot.linux.luo
    for session in luo.sessions if luo else ():
        for file in session.files:
            if file.memfd:
                name = f"the array of folios of LUO/{session.name}/{file.token:#x}"
                yield name, file.memfd.vmalloc
    for _, client in snapshot.decoded:
        yield from client.lists


def _lists(snapshot: Snapshot, address: int) -> Iterator[str]:
    shift = snapshot.geometry.page_shift
    entries = snapshot.geometry.chunk_entries
    for name, vmalloc in _all_lists(snapshot):
        if address in vmalloc.chunks:
            number = vmalloc.chunks.index(address)
            blocks = vmalloc.blocks.select(
                np.arange(number * entries, min((number + 1) * entries, len(vmalloc.blocks)))
            )
            yield (
                f"chunk {number} of {len(vmalloc.chunks)} of {name}: {len(blocks)} entries"
                f"{_these(blocks, shift)}"
            )
        before = np.cumsum(vmalloc.blocks.counts) - vmalloc.blocks.counts
        inside = (vmalloc.blocks.frames <= address >> shift) & (
            address >> shift < vmalloc.blocks.frames + vmalloc.blocks.counts
        )
        for at in np.flatnonzero(inside)[:1].tolist():
            page = int(before[at]) + (address >> shift) - int(vmalloc.blocks.frames[at])
            yield f"bytes from {page << shift:#x} of {name}"


def _luo(snapshot: Snapshot, address: int) -> Iterator[str]:
    luo, page = snapshot.linux.luo, PhysRange(address, snapshot.geometry.page_size)
    if luo is None:
        return
    if address in luo.chain.pages:
        names = ", ".join(f"'{s.name}' with {s.count} files" for s in luo.sessions[:_FEW])
        yield f"list of {len(luo.sessions)} sessions of LUO: {names}{_more(len(luo.sessions))}"
    if luo.flbs and page.overlaps(luo.flb_pages.begin, luo.flb_pages.size):
        for flb in luo.flbs[:_FEW]:
            yield f"shared state '{flb.name}' of {flb.count} files, data {flb.data:#018x}"
    for session in luo.sessions:
        if address in session.chain.pages:
            for file in session.files[:_FEW]:
                yield (
                    f"file {file.token:#x} of session '{session.name}': {file.compatible}, "
                    f"data {file.data:#018x}"
                )
        for file in session.files:
            memfd = file.memfd
            if memfd is None:
                continue
            name = f"memfd {file.token:#x} of session '{session.name}'"
            if page.contains(memfd.at, 1):
                yield (
                    f"{name}: {memfd.size} bytes in {len(memfd.folios)} folios, "
                    f"position {memfd.position:#x}, seals {memfd.seals:#x}"
                )
            yield from _folio(memfd, name, address, snapshot)


def _folio(memfd: Memfd, name: str, address: int, snapshot: Snapshot) -> Iterator[str]:
    folios, indices = memfd.folios, memfd.indices
    shift = snapshot.geometry.page_shift
    frame = address >> shift
    inside = (folios.frames <= frame) & (frame < folios.frames + folios.counts)
    for at in np.flatnonzero(inside)[:1].tolist():
        offset = int(indices[at]) + frame - int(folios.frames[at])
        yield f"{name}: bytes from {offset << shift:#x} of the file"


def _decoded(snapshot: Snapshot, address: int) -> Iterator[str]:
    """What decoders have read out of the page."""
    page = PhysRange(address, snapshot.geometry.page_size)
    for _, client in snapshot.decoded:
        if client.state is not None:
            for owner, area in client.owned:
                if page.overlaps(area.begin, area.size):
                    yield f"{owner}: {one_line(client.state)}"


def _plain(snapshot: Snapshot, address: int) -> Iterator[str]:
    page = PhysRange(address, snapshot.geometry.page_size)
    for link in snapshot.handover.blobs:
        if not page.overlaps(link.blob.begin, link.blob.size):
            continue
        begin = max(address, link.blob.begin)
        end = min(page.end, link.blob.end)
        offset = begin - link.blob.begin
        yield f"{end - begin} of {link.blob.size} bytes of {link.path}, from {offset:#x}"
    metadata, link_of = snapshot.clients.metadata, snapshot.handover.blob(METADATA_PATH)
    if metadata and link_of and page.overlaps(link_of.blob.begin, link_of.blob.size):
        yield f"kexec count {metadata.kexec_count}, previous kernel '{metadata.previous_release}'"
    for reserved in snapshot.clients.reserved:
        if page.overlaps(reserved.area.begin, reserved.area.size):
            offset = max(0, address - reserved.area.begin)
            whole = f"{reserved.area.size:#x} bytes"
            yield f"reserved memory '{reserved.name}', from {offset:#x} of {whole}"
    log = snapshot.clients.log
    if log and page.overlaps(log.text.begin, log.text.size):
        yield f"ring of the log, {log.written} bytes written in total"
