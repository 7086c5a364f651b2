# SPDX-License-Identifier: BSD-3-Clause
"""Static rules beyond those the decoder checks while reading."""

from __future__ import annotations

from collections import Counter
from typing import Callable, Iterator, Mapping

from khorig.kho.bitmap_chunks import SMALL_BITMAP, BitmapChunks
from khorig.kho.blocks import Blocks
from khorig.kho.clients.khorig import KHORIG_PATH, METADATA_PATH, METADATA_SIZE
from khorig.kho.clients.live_cpu import LIVE_CPU_OWNER
from khorig.kho.fdt import FdtNode
from khorig.kho.fragment import string_property
from khorig.kho.frame_table import FrameState
from khorig.kho.layout import COMPATIBLE_PROPERTY
from khorig.kho.snapshot import Snapshot
from khorig.kho.vmalloc import Vmalloc
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange, read_bytes
from khorig.rules.frames import odd_frames
from khorig.rules.static.live_cpu import pages_preserved, tables_map_own_pages
from khorig.rules.static.poison import poisoned_pages_unused

Breach = tuple[int, str]  # address, text
Check = Callable[[Snapshot], Iterator[Breach]]

_MOST = 64  # breaches of a kind
_MIB = 1 << 20
_FOUR_GIB = 4 << 30
_KNOWN_FLAGS = 3  # VM_ALLOC, huge
_RELEASE = slice(4, 69)  # of kexec-metadata


def _root_in_scratch(snapshot: Snapshot) -> Iterator[Breach]:
    root = snapshot.chosen.address
    for area in snapshot.scratch or ():
        if area.overlaps(root, snapshot.geometry.page_size):
            yield root, f"root page in scratch area {area}"


def _names(snapshot: Snapshot) -> Iterator[Breach]:
    for fragment in snapshot.handover.fragments:
        for path, node in fragment.tree.walk(fragment.path):
            counts = Counter(child.name for child in node.children)
            for name, count in counts.items():
                if count > 1:
                    yield fragment.address, f"{count} nodes {path}/{name}, expected 1"


def _root_size(snapshot: Snapshot) -> Iterator[Breach]:
    handoff, root = snapshot.handoff, snapshot.handover.root
    if handoff is None or handoff.root.value != root.address:
        return
    size = handoff.root_size.value
    if not root.size <= size <= snapshot.geometry.page_size:
        text = (
            f"size {size:#x} in the boot parameters, root FDT has {root.size:#x} bytes, page "
            f"{snapshot.geometry.page_size:#x}"
        )
        yield handoff.root_size.address, text


def _sealed_root(snapshot: Snapshot) -> Iterator[Breach]:
    run = snapshot.dump.run
    if not run or run.root is None or not snapshot.scanned:
        return
    candidates = [c for c in snapshot.candidates if c.address == run.root]
    if not any(c.anchor for c in candidates) and snapshot.handoff is None:
        others = [f"{c.address:#018x}" for c in snapshot.candidates if c.anchor]
        found = ", ".join(others) or "none"
        yield run.root, f"sealed root {run.root:#018x} not in any boot parameters (found: {found})"


def _low_memory(snapshot: Snapshot) -> Iterator[Breach]:
    if snapshot.arch != "x86_64":
        return
    shift = snapshot.geometry.page_shift
    blocks = snapshot.handover.blocks
    low = blocks.select(blocks.frames < _MIB >> shift)
    for frame, order in list(zip(low.frames.tolist(), low.orders.tolist()))[:_MOST]:
        yield frame << shift, f"preserved block of order {order} below {_MIB:#x}"
    for node in snapshot.handover.tree.nodes:
        if node.address < _MIB:
            yield node.address, f"tracker node below {_MIB:#x}"


def _allocated_blocks(snapshot: Snapshot) -> Iterator[Breach]:
    yield from _odd(snapshot, snapshot.handover.blocks, "preserved block")


def _allocated_nodes(snapshot: Snapshot) -> Iterator[Breach]:
    yield from _odd(snapshot, Blocks.of((int(f), 0) for f in snapshot.node_frames), "tracker node")


def _odd(snapshot: Snapshot, blocks: Blocks, what: str) -> Iterator[Breach]:
    """Against khorig's page allocator. Blocks sealed by khorig itself are ALLOCATED; during
    restore, and for pass-through blocks, PRESERVED is valid too."""
    if snapshot.frames is None:
        return
    run = snapshot.dump.run
    is_own = snapshot.handover.fragment(KHORIG_PATH) is not None
    states: tuple[FrameState, ...] = (FrameState.ALLOCATED,)
    if not is_own or run is None or run.at not in ("sealed", "restored"):
        states = (FrameState.ALLOCATED, FrameState.PRESERVED)
    for odd in odd_frames(snapshot.frames, blocks, states, _MOST):
        yield odd.frame << snapshot.geometry.page_shift, f"{what} of {odd}"


def _bitmap_size(snapshot: Snapshot) -> Iterator[Breach]:
    tree = snapshot.handover.tree
    if not isinstance(tree, BitmapChunks) or tree.bitmap_bytes == SMALL_BITMAP:
        return
    bitmaps = [node for node in tree.nodes if node.level == 0]
    for node in bitmaps:
        raw = read_bytes(snapshot.memory, node.address, tree.bitmap_bytes)
        if any(raw[SMALL_BITMAP:]):
            return
    if bitmaps:
        yield (
            bitmaps[0].address,
            f"{len(bitmaps)} bitmaps have bits only in their first {SMALL_BITMAP} bytes: size "
            f"{SMALL_BITMAP} or {tree.bitmap_bytes} bytes",
        )


def _compatible_strings(snapshot: Snapshot) -> Iterator[Breach]:
    for fragment in snapshot.handover.fragments:
        for path, node in fragment.tree.walk(fragment.path):
            if _has_bad_compatible(node):
                raw = node.properties[COMPATIBLE_PROPERTY]
                text = f"{path or '/'}: {COMPATIBLE_PROPERTY} {raw[:32]!r}, expected one string"
                yield fragment.address, text


def _has_bad_compatible(node: FdtNode) -> bool:
    present = COMPATIBLE_PROPERTY in node.properties
    return present and string_property(node, COMPATIBLE_PROPERTY) is None


def lists_of_blocks(snapshot: Snapshot) -> Iterator[tuple[str, Vmalloc]]:
    """Every readable list in vmalloc form, with its owner."""
    for store in snapshot.clients.stores.values():
        yield f"store '{store.name}'", store.vmalloc
    if snapshot.linux.kho_test:
        yield "kho_test", snapshot.linux.kho_test.vmalloc
    if snapshot.linux.luo:
        for session in snapshot.linux.luo.sessions:
            for file in session.files:
                if file.memfd:
                    yield f"file {file.token:#x} of '{session.name}'", file.memfd.vmalloc
    for _, client in snapshot.decoded:
        yield from client.lists


def _lists_preserved(snapshot: Snapshot) -> Iterator[Breach]:
    shift = snapshot.geometry.page_shift
    index = snapshot.handover.index
    for name, vmalloc in lists_of_blocks(snapshot):
        wanted = [(chunk >> shift, 0) for chunk in vmalloc.chunks]
        wanted += [(frame, vmalloc.order) for frame in vmalloc.blocks.frames.tolist()]
        for frame, order in wanted:
            found = index.find(frame)
            if found != (frame, order):
                state = f"preserved with order {found[1]}" if found else "not preserved"
                text = f"block of order {order} of {name} is {state}"
                yield frame << shift, text


def _list_flags(snapshot: Snapshot) -> Iterator[Breach]:
    for name, vmalloc in lists_of_blocks(snapshot):
        if vmalloc.flags & ~_KNOWN_FLAGS:
            text = f"flags {vmalloc.flags:#x} of {name}, expected at most {_KNOWN_FLAGS:#x}"
            yield vmalloc.first, text


def _release(snapshot: Snapshot) -> Iterator[Breach]:
    link = snapshot.handover.blob(METADATA_PATH)
    if link is None or link.blob.size < METADATA_SIZE:
        return
    try:
        raw = read_bytes(snapshot.memory, link.blob.begin, METADATA_SIZE)[_RELEASE]
    except DecodeError:
        return
    text, zero, _ = raw.partition(b"\0")
    if not zero or not text.isascii() or not text.decode().isprintable():
        yield link.blob.begin, f"previous_release {raw[:24]!r}..., expected a NUL-terminated string"


def _count(snapshot: Snapshot) -> Iterator[Breach]:
    run, metadata = snapshot.dump.run, snapshot.clients.metadata
    if not run or run.root != snapshot.chosen.address or run.at != "sealed" or not metadata:
        return
    if metadata.kexec_count != run.generation:
        link = snapshot.handover.blob(METADATA_PATH)
        address = link.blob.begin if link else 0
        yield address, f"kexec_count {metadata.kexec_count}, expected {run.generation}"


def _checksum(snapshot: Snapshot) -> Iterator[Breach]:
    test = snapshot.linux.kho_test
    if test and not test.adds_up:
        text = f"checksum {test.found:#010x} over the folios, expected {test.checksum:#010x}"
        yield test.vmalloc.first, text


def _first_area(snapshot: Snapshot) -> Iterator[Breach]:
    used = [area for area in snapshot.scratch or () if area.size]
    if used and snapshot.scratch and snapshot.scratch[0].size and used[0].end > _FOUR_GIB:
        yield used[0].begin, f"first area {used[0]} ends above {_FOUR_GIB:#x}"


def _array_in_scratch(snapshot: Snapshot) -> Iterator[Breach]:
    if snapshot.handoff is None or not snapshot.scratch:
        return
    array: PhysRange = snapshot.handoff.scratch_array
    if not any(area.contains(array.begin, array.size) for area in snapshot.scratch):
        yield array.begin, f"scratch array {array} is outside scratch"


def _clashes(snapshot: Snapshot) -> Iterator[Breach]:
    for clash in snapshot.owners.clashes:
        address = clash.frame << snapshot.geometry.page_shift
        yield address, f"page owned by both {clash.first} and {clash.second}"


def _is_reserved(owner: str) -> bool:
    return owner.startswith("memblock/")


def _reserved_strays(snapshot: Snapshot) -> Iterator[Breach]:
    for stray in snapshot.owners.strays:
        if _is_reserved(stray.owner):
            address = stray.frame << snapshot.geometry.page_shift
            yield address, f"page of {stray.owner} is not preserved"


def _strays(snapshot: Snapshot) -> Iterator[Breach]:
    for stray in snapshot.owners.strays:
        # The root is KHR-I005, a page of a CPU that runs on KHR-I074.
        if not _is_reserved(stray.owner) and not _is_live(stray.owner) and stray.owner != "root":
            address = stray.frame << snapshot.geometry.page_shift
            yield address, f"page of {stray.owner} is not preserved"


def _is_live(owner: str) -> bool:
    return owner.startswith(f"{LIVE_CPU_OWNER}/")


def _unowned(snapshot: Snapshot) -> Iterator[Breach]:
    begins, ends = snapshot.owners.unowned
    if len(begins):
        address = int(begins[0]) << snapshot.geometry.page_shift
        count, total = int((ends - begins).sum()), snapshot.owners.page_count
        yield address, f"{count} of {total} preserved pages have no owner; this is the first"


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
    "KHR-I074": pages_preserved,
    "KHR-I075": tables_map_own_pages,
    "KHR-I204": poisoned_pages_unused,
}
