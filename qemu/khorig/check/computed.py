# SPDX-License-Identifier: BSD-3-Clause
"""Invariants that reading alone does not notice."""

from __future__ import annotations

from collections import Counter
from typing import Callable, Iterator, Mapping

import numpy as np

from khorig.view.bitmap_chunks import SMALL_BITMAP, BitmapChunks
from khorig.view.blocks import Blocks, Int64Array
from khorig.view.clients import METADATA_PATH, METADATA_SIZE
from khorig.view.errors import DecodeError
from khorig.view.fdt import FdtNode
from khorig.view.fragment import string_property
from khorig.view.frame_table import FrameByte, FrameState, FrameTable, frame_byte
from khorig.view.inspection import Inspection
from khorig.view.layout import COMPATIBLE_PROPERTY
from khorig.view.memory import PhysRange, read_bytes
from khorig.view.unowned import pages_of_nobody
from khorig.view.vmalloc import Vmalloc

Breach = tuple[int, str]  # address, text
Check = Callable[[Inspection], Iterator[Breach]]

_MOST = 64  # breaches of a kind
_MIB = 1 << 20
_FOUR_GIB = 4 << 30
_KNOWN_FLAGS = 3  # VM_ALLOC, huge
_RELEASE = slice(4, 69)  # of kexec-metadata


def _root_in_scratch(inspection: Inspection) -> Iterator[Breach]:
    root = inspection.chosen.address
    for area in inspection.scratch or ():
        if area.overlaps(root, inspection.geometry.page_size):
            yield root, f"the root page lies in the scratch area {area}"


def _names(inspection: Inspection) -> Iterator[Breach]:
    for fragment in inspection.handover.fragments:
        for path, node in fragment.tree.walk(fragment.path):
            counts = Counter(child.name for child in node.children)
            for name, count in counts.items():
                if count > 1:
                    yield fragment.address, f"{count} nodes {path}/{name}, expected one"


def _root_size(inspection: Inspection) -> Iterator[Breach]:
    handoff, root = inspection.handoff, inspection.handover.root
    if handoff is None or handoff.root.value != root.address:
        return
    size = handoff.root_size.value
    if not root.size <= size <= inspection.geometry.page_size:
        text = (
            f"the hand-off says {size:#x} bytes, the root has {root.size:#x} in a page of "
            f"{inspection.geometry.page_size:#x}"
        )
        yield handoff.root_size.address, text


def _sealed_root(inspection: Inspection) -> Iterator[Breach]:
    run = inspection.dump.run
    if not run or run.root is None:
        return
    candidates = [c for c in inspection.candidates if c.address == run.root]
    if not any(c.anchor for c in candidates) and inspection.handoff is None:
        others = [f"{c.address:#018x}" for c in inspection.candidates if c.anchor]
        named = ", ".join(others) or "none"
        yield run.root, f"nothing names the sealed root {run.root:#018x}; named are: {named}"


def _low_memory(inspection: Inspection) -> Iterator[Breach]:
    if inspection.arch != "x86_64":
        return
    shift = inspection.geometry.page_shift
    blocks = inspection.handover.blocks
    low = blocks.select(blocks.frames < _MIB >> shift)
    for frame, order in list(zip(low.frames.tolist(), low.orders.tolist()))[:_MOST]:
        yield frame << shift, f"a preserved block of order {order} below {_MIB:#x}"
    for node in inspection.handover.tree.nodes:
        if node.address < _MIB:
            yield node.address, f"a node of the tracker below {_MIB:#x}"


def _allocated_blocks(inspection: Inspection) -> Iterator[Breach]:
    yield from _compare_frames(inspection, inspection.handover.blocks, "preserved block")


def _allocated_nodes(inspection: Inspection) -> Iterator[Breach]:
    shift = inspection.geometry.page_shift
    nodes = Blocks.of((node.address >> shift, 0) for node in inspection.handover.tree.nodes)
    yield from _compare_frames(inspection, nodes, "node of the tracker")


def _compare_frames(inspection: Inspection, blocks: Blocks, what: str) -> Iterator[Breach]:
    """Against khorig's page allocator. While it takes the handover back a block may still be
    PRESERVED there."""
    table = inspection.frames
    if table is None or not len(blocks):
        return
    shift = inspection.geometry.page_shift
    frames = blocks.page_frames()
    heads = np.cumsum(blocks.counts) - blocks.counts
    wrong: Int64Array = np.arange(len(frames), dtype=np.int64)
    found = table.states(frames)
    for state in (FrameState.ALLOCATED, FrameState.PRESERVED):
        expected = np.full(len(frames), frame_byte(state, None), dtype=np.uint8)
        expected[heads] = frame_byte(state, 0) + blocks.orders
        wrong = wrong[found[wrong] != expected[wrong]]
    for at in wrong[:_MOST].tolist():
        number = int(np.searchsorted(heads, at, side="right")) - 1
        order = int(blocks.orders[number])
        expected_byte = frame_byte(FrameState.ALLOCATED, order if at == heads[number] else None)
        yield (
            int(frames[at]) << shift,
            f"{what} of order {order}: the allocator has the page as "
            f"{_entry(table, int(frames[at]))}, expected {FrameByte(expected_byte)}",
        )


def _entry(table: FrameTable, frame: int) -> FrameByte:
    return table.at(frame)


def _bitmap_size(inspection: Inspection) -> Iterator[Breach]:
    tree = inspection.handover.tree
    if not isinstance(tree, BitmapChunks) or tree.bitmap_bytes == SMALL_BITMAP:
        return
    bitmaps = [node for node in tree.nodes if node.level == 0]
    for node in bitmaps:
        raw = read_bytes(inspection.memory, node.address, tree.bitmap_bytes)
        if any(raw[SMALL_BITMAP:]):
            return
    if bitmaps:
        yield (
            bitmaps[0].address,
            f"{len(bitmaps)} bitmaps with bits in their first {SMALL_BITMAP} bytes only: they may "
            f"have {SMALL_BITMAP} bytes or {tree.bitmap_bytes}",
        )


def _compatible_strings(inspection: Inspection) -> Iterator[Breach]:
    for fragment in inspection.handover.fragments:
        for path, node in fragment.tree.walk(fragment.path):
            if _has_bad_compatible(node):
                raw = node.properties[COMPATIBLE_PROPERTY]
                text = f"{path or '/'}: {COMPATIBLE_PROPERTY} {raw[:32]!r}, expected one string"
                yield fragment.address, text


def _has_bad_compatible(node: FdtNode) -> bool:
    present = COMPATIBLE_PROPERTY in node.properties
    return present and string_property(node, COMPATIBLE_PROPERTY) is None


def lists_of_blocks(inspection: Inspection) -> Iterator[tuple[str, Vmalloc]]:
    """Every list in vmalloc form that could be read, with its owner."""
    for store in inspection.clients.stores.values():
        yield f"store '{store.name}'", store.vmalloc
    if inspection.linux.kho_test:
        yield "kho_test", inspection.linux.kho_test.vmalloc
    if inspection.linux.luo:
        for session in inspection.linux.luo.sessions:
            for file in session.files:
                if file.memfd:
                    yield f"file {file.token:#x} of '{session.name}'", file.memfd.vmalloc


def _lists_preserved(inspection: Inspection) -> Iterator[Breach]:
    shift = inspection.geometry.page_shift
    index = inspection.handover.index
    for name, vmalloc in lists_of_blocks(inspection):
        wanted = [(chunk >> shift, 0) for chunk in vmalloc.chunks]
        wanted += [(frame, vmalloc.order) for frame in vmalloc.blocks.frames.tolist()]
        for frame, order in wanted:
            found = index.find(frame)
            if found != (frame, order):
                as_what = f"in a block of order {found[1]}" if found else "not"
                text = f"a block of order {order} of {name} is preserved {as_what}"
                yield frame << shift, text


def _list_flags(inspection: Inspection) -> Iterator[Breach]:
    for name, vmalloc in lists_of_blocks(inspection):
        if vmalloc.flags & ~_KNOWN_FLAGS:
            text = f"flags {vmalloc.flags:#x} of {name}, expected at most {_KNOWN_FLAGS:#x}"
            yield vmalloc.first, text


def _release(inspection: Inspection) -> Iterator[Breach]:
    link = inspection.handover.blob(METADATA_PATH)
    if link is None or link.blob.size < METADATA_SIZE:
        return
    try:
        raw = read_bytes(inspection.memory, link.blob.begin, METADATA_SIZE)[_RELEASE]
    except DecodeError:
        return
    text, zero, _ = raw.partition(b"\0")
    if not zero or not text.isascii() or not text.decode().isprintable():
        yield link.blob.begin, f"previous_release is {raw[:24]!r}..., expected terminated text"


def _count(inspection: Inspection) -> Iterator[Breach]:
    run, metadata = inspection.dump.run, inspection.clients.metadata
    if not run or run.root != inspection.chosen.address or run.at != "sealed" or not metadata:
        return
    if metadata.kexec_count != run.generation:
        link = inspection.handover.blob(METADATA_PATH)
        address = link.blob.begin if link else 0
        yield address, f"kexec_count is {metadata.kexec_count}, expected {run.generation}"


def _checksum(inspection: Inspection) -> Iterator[Breach]:
    test = inspection.linux.kho_test
    if test and not test.adds_up:
        text = f"the folios add up to {test.found:#010x}, expected {test.checksum:#010x}"
        yield test.vmalloc.first, text


def _first_area(inspection: Inspection) -> Iterator[Breach]:
    used = [area for area in inspection.scratch or () if area.size]
    if used and inspection.scratch and inspection.scratch[0].size and used[0].end > _FOUR_GIB:
        yield used[0].begin, f"the first area {used[0]} ends above {_FOUR_GIB:#x}"


def _array_in_scratch(inspection: Inspection) -> Iterator[Breach]:
    if inspection.handoff is None or not inspection.scratch:
        return
    array: PhysRange = inspection.handoff.scratch_array
    if not any(area.contains(array.begin, array.size) for area in inspection.scratch):
        yield array.begin, f"the scratch array {array} lies in no scratch area"


def _clashes(inspection: Inspection) -> Iterator[Breach]:
    for clash in inspection.owners.clashes:
        address = clash.frame << inspection.geometry.page_shift
        yield address, f"the page belongs to {clash.first} and to {clash.second}"


def _is_reserved(owner: str) -> bool:
    return owner.startswith("memblock/")


def _reserved_strays(inspection: Inspection) -> Iterator[Breach]:
    for stray in inspection.owners.strays:
        if _is_reserved(stray.owner):
            address = stray.frame << inspection.geometry.page_shift
            yield address, f"a page of {stray.owner} is not preserved"


def _strays(inspection: Inspection) -> Iterator[Breach]:
    for stray in inspection.owners.strays:
        # The root has an invariant of its own.
        if not _is_reserved(stray.owner) and stray.owner != "root":
            address = stray.frame << inspection.geometry.page_shift
            yield address, f"a page of {stray.owner} is not preserved"


def _unowned(inspection: Inspection) -> Iterator[Breach]:
    unowned = pages_of_nobody(inspection.handover.blocks, inspection.owners)
    if len(unowned):
        address = int(unowned[0]) << inspection.geometry.page_shift
        total = len(inspection.owners.frames)
        yield address, f"the first of {len(unowned)} preserved pages, of {total}, that nobody names"


COMPUTED: Mapping[str, Check] = {
    "KHR-I006": _root_in_scratch,
    "KHR-I010": _names,
    "KHR-I011": _root_size,
    "KHR-I012": _sealed_root,
    "KHR-I023": _low_memory,
    "KHR-I024": _allocated_blocks,
    "KHR-I025": _allocated_nodes,
    "KHR-I028": _bitmap_size,
    "KHR-I034": _compatible_strings,
    "KHR-I041": _lists_preserved,
    "KHR-I042": _list_flags,
    "KHR-I044": _release,
    "KHR-I045": _count,
    "KHR-I047": _reserved_strays,
    "KHR-I060": _checksum,
    "KHR-I066": _first_area,
    "KHR-I067": _array_in_scratch,
    "KHR-I068": _clashes,
    "KHR-I069": _strays,
    "KHR-I070": _unowned,
}
