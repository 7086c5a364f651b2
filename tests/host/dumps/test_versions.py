# SPDX-License-Identifier: BSD-3-Clause
"""Versions, page sizes, clients of Linux, and which of several roots counts."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Sequence

import pytest
from dumps.bitmap_image import ORDERS, BitmapImage, bitmap_dump
from dumps.sample import BOOT_PARAMS, SETUP_DATA, ImageMemory, Sample, broken
from view.handover_image import (
    MIB,
    PAGE,
    RAM,
    FdtValue,
    HandoverImage,
    add_metadata,
    fdt_bytes,
    typical_image,
)

from khorig.kho.anchors import scan
from khorig.kho.bitmap_chunks import BitmapChunks
from khorig.kho.snapshot import NoHandover, find_snapshot
from khorig.mem.formats import Dump
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import PhysRange, RamMemory
from khorig.out.inspect.client_lines import client_lines
from khorig.out.inspect.document import inspection_document
from khorig.out.inspect.summary import summary_lines


def plain(image: HandoverImage, page_shift: int | None = 12) -> Dump:
    """A dump that says nothing about itself."""
    return Dump(Path("plain"), "test", ImageMemory(image), page_shift=page_shift)


@pytest.mark.parametrize("bitmap_bytes", [512, PAGE])
def test_v1(bitmap_bytes: int) -> None:
    snapshot = find_snapshot(bitmap_dump(bitmap_bytes))
    tree = snapshot.handover.tree
    assert isinstance(tree, BitmapChunks) and tree.bitmap_bytes == bitmap_bytes
    assert not snapshot.handover.problems
    # Root, client and the block far up, and five of each order.
    assert len(snapshot.handover.blocks) == 3 + 5 * len(ORDERS)
    assert sorted(set(snapshot.handover.blocks.orders.tolist())) == list(ORDERS)
    assert [f.path for f in snapshot.handover.fragments] == ["", "/old"]


@pytest.mark.parametrize(
    "head, id",
    [
        (struct.pack(">II", 0xD00DFEED, 0), "blob-size-range"),
        (struct.pack(">II", 0xD00DFEEE, 1024), "fdt-magic"),
    ],
)
def test_a_client_of_v1_that_is_no_device_tree(head: bytes, id: str) -> None:
    image = BitmapImage(PAGE)
    image.finish_v1()
    client = next(at for at, _ in image.blocks if at != image.root)
    image.ram.write(client, head)
    handover = find_snapshot(plain(image)).handover
    assert [(p.id, p.address) for p in handover.problems] == [(id, client)]
    assert not handover.blobs


def test_v3() -> None:
    image = typical_image()
    image.finish(compatible="kho-v3")
    snapshot = find_snapshot(plain(image))
    assert snapshot.handover.codec.writers == "Linux 7.1"
    assert len(snapshot.handover.blocks) == len(image.blocks)
    assert snapshot.clients.stores.keys() == {"db0", "db1"}


def test_an_unknown_version_and_an_unknown_client() -> None:
    image = typical_image()
    image.clients["surprise"] = image.link(image.preserved_page(b"?"), 17)
    image.finish()
    lines = client_lines(find_snapshot(plain(image)))
    assert any("surprise: unknown client: 17 bytes" in line for line in lines)
    image.finish(compatible="kho-v99")
    with pytest.raises(NoHandover) as caught:
        find_snapshot(plain(image))
    [candidate] = caught.value.candidates
    assert candidate.error and "'kho-v99'" in candidate.error.text
    assert set(broken(plain(image))) == {"KHR-I003"}


class _Memory(RamMemory):
    """Memory as a dump, of a page size of its own."""

    def data(self) -> Sequence[PhysRange]:
        return self.ranges

    def forget(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


def write_radix(ram: GuestRam, root: int, nodes: list[int], keys: list[int], shift: int) -> None:
    """The ABI text's tree for any page size: width 64 - shift + 1, tables of page / 8 words."""
    page = 1 << shift
    table, leaf = shift - 3, shift + 3
    levels = -(-(64 - shift + 1 - leaf) // table) + 1
    fresh = iter(nodes)
    for key in keys:
        at = root
        for level in range(levels - 1, 0, -1):
            slot = at + 8 * (key >> (level - 1) * table + leaf & (1 << table) - 1)
            if not ram.read_u64(slot):
                ram.write(slot, struct.pack("<Q", next(fresh)))
            at = ram.read_u64(slot)
        bit = key % (page * 8)
        ram.write(at + bit // 8, bytes([ram.read(at + bit // 8, 1)[0] | 1 << bit % 8]))


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("shift", [12, 14, 16])
def test_page_sizes_are_found_out(shift: int, is_whole: bool) -> None:
    """Also of a handover that was taken back: the others make less of it."""
    page, order_0 = 1 << shift, 64 - shift
    ram = GuestRam(memoryview(bytearray(8 * MIB)), [RamRegion(RAM.begin, 8 * MIB, 0)])
    root, tree = RAM.begin, RAM.begin + page
    blocks = [(RAM.begin + 64 * page, 0), (RAM.begin + 96 * page, 3)]
    if is_whole:
        blocks.insert(0, (root, 0))
    keys = [1 << order_0 - order | at >> shift + order for at, order in blocks]
    nodes = [tree + page * n for n in range(1, 40)]
    write_radix(ram, tree, nodes, keys, shift)
    properties: dict[str, FdtValue] = {"compatible": "kho-v4", "preserved-memory-map": tree}
    ram.write(root, fdt_bytes(properties, 1024))
    dump = Dump(Path("x"), "test", _Memory(ram))
    snapshot = find_snapshot(dump)
    assert snapshot.geometry.page_size == page
    ids = [problem.id for problem in snapshot.handover.problems]
    assert ids == ([] if is_whole else ["blob-not-preserved"])
    found = snapshot.handover.blocks
    assert sorted(zip(found.frames.tolist(), found.orders.tolist())) == [
        (at >> shift, order) for at, order in blocks
    ]


def test_clients_of_linux() -> None:
    sample = Sample().finish()
    snapshot = sample.snapshot()
    luo, test = snapshot.linux.luo, snapshot.linux.kho_test
    assert luo and (luo.compatible, luo.liveupdate_num) == ("luo-v5", 3)
    [session] = luo.sessions
    [file] = session.files
    assert (session.name, file.token, file.compatible) == ("vm", 0x21, "memfd-v2")
    assert file.memfd and (file.memfd.size, file.memfd.position) == (5 * PAGE, 7)
    assert file.memfd.folios.orders.tolist() == [2, 0] and file.memfd.indices.tolist() == [0, 4]
    assert [flb.name for flb in luo.flbs] == ["shared"]
    assert test and len(test.folios) == 3 and test.checksum == test.found
    folded = dataclasses.replace(test, checksum=0x00054F05, found=0x1A5A34B0)  # arm64
    assert folded.adds_up and not dataclasses.replace(folded, checksum=0x00054F06).adds_up
    owner = snapshot.owners.name(sample.folios[0][0] >> 12)
    assert owner == "LUO/vm/0x21 folio 0 (order 2) page 0"
    text = "\n".join(summary_lines(snapshot))
    for part in ("session 'vm' with 1 files", "in 2 folios", "3 folios, 44 KiB", "setup_data at"):
        assert part in text


def test_chains_of_several_blocks_and_a_test_larger_than_a_page() -> None:
    sample = Sample()
    image = sample.image
    entries = [struct.pack("<48sQQ", b"other", 1, token) for token in range(70)]
    per_block = (PAGE - 16) // 64
    following = 0
    for at in reversed(range(0, 70, per_block)):
        part = entries[at : at + per_block]
        following = image.preserved_page(struct.pack("<QQ", following, len(part)) + b"".join(part))
    session = struct.pack("<64sQQ", b"many", following, 70)
    image.ram.write(sample.sessions, struct.pack("<QQ", 0, 1) + session)
    snapshot = sample.finish().snapshot()
    assert snapshot.linux.luo
    assert [f.token for f in snapshot.linux.luo.sessions[0].files] == list(range(70))
    blob = bytearray(image.ram.read(_kho_test(sample), PAGE)) + bytearray(PAGE)
    struct.pack_into(">I", blob, 4, 2 * PAGE)
    large = image.preserved_block(1)
    image.ram.write(large, bytes(blob))
    image.clients["kho_test"] = image.link(large, 2 * PAGE)
    image.finish()
    assert sample.snapshot().linux.kho_test


def _kho_test(sample: Sample) -> int:
    link = sample.image.clients["kho_test"]
    assert isinstance(link, dict) and isinstance(link["preserved-data"], int)
    return link["preserved-data"]


def two_generations() -> tuple[HandoverImage, int, int]:
    """The same memory with a handover after one jump and one after two."""
    image = HandoverImage()
    add_metadata(image, 1)
    first = image.finish()
    image.root = image.preserved_page()
    add_metadata(image, 2)
    return image, first, image.finish()


def test_the_live_root_is_told_from_stale_ones() -> None:
    image, first, second = two_generations()
    assert find_snapshot(plain(image)).chosen.address == second
    assert find_snapshot(plain(image), generation=1).chosen.address == first
    assert find_snapshot(plain(image), root=first).chosen.address == first
    with pytest.raises(NoHandover, match="generation 7; there are: 2, 1"):
        find_snapshot(plain(image), generation=7)
    for node in image.nodes:
        image.ram.write(node, b"\x5a" * PAGE)
    again = find_snapshot(plain(image))
    assert again.chosen.address == first and again.candidates[1].state.startswith("stale")


def test_a_whole_handover_with_a_problem_comes_before_a_newer_one_that_was_taken_back() -> None:
    image = HandoverImage()
    add_metadata(image, 1)
    image.clients["half"] = {"preserved-data": image.root}
    first = image.finish()
    del image.clients["half"]
    image.root = image.preserved_page()
    add_metadata(image, 2)
    image.finish()
    for node in image.nodes:
        image.ram.write(node, bytes(PAGE))
    found = find_snapshot(plain(image))
    assert [c.address for c in found.candidates] == [first, image.root]
    assert [c.generation for c in found.candidates] == [1, 2]


def test_a_root_that_nobody_can_read_is_judged_by_the_smallest_page_size() -> None:
    image = HandoverImage()
    image.root = image.preserved_page()
    assert image.root % (1 << 14)
    image.finish(compatible="kho-v99")
    with pytest.raises(NoHandover) as caught:
        find_snapshot(plain(image, None))
    [candidate] = caught.value.candidates
    assert candidate.error and candidate.error.id == "compatible-mismatch"


def test_what_lies_behind_pages_that_are_damaged_is_found() -> None:
    sample = Sample().finish()
    sample.left_out = {BOOT_PARAMS, BOOT_PARAMS + 2 * PAGE, sample.image.root + PAGE}
    found = scan(sample.dump().memory)
    assert [anchor.how for anchor in found.anchors] == [f"setup_data at {SETUP_DATA:#x}"]
    assert found.roots == (sample.image.root,)


def test_a_root_at_any_page_is_found() -> None:
    for pages in range(4):
        image = HandoverImage()
        for _ in range(pages):
            image.root = image.preserved_page()
        image.finish()
        assert scan(plain(image).memory).roots == (image.root,)


def test_the_root_of_the_run_comes_first() -> None:
    sample = Sample().finish()
    dump = sample.dump()
    assert find_snapshot(dump).chosen.how[0] == "the run that wrote the image"
    bare = find_snapshot(dataclasses.replace(dump, run=None, arch=None))
    assert bare.chosen.how == ("setup_data at 0x41001000", "a scan of page starts")
    assert bare.arch == "x86_64" and bare.scratch == tuple(sample.scratch)


def test_a_run_tells_which_way_a_handover_goes() -> None:
    dump = Sample().finish().dump()
    for generation, direction in ((1, "outgoing"), (2, "incoming")):
        assert dump.run is not None
        run = dataclasses.replace(dump.run, generation=generation)
        snapshot = find_snapshot(dataclasses.replace(dump, run=run))
        assert snapshot.direction == direction
        assert f"            whole, made for jump 1, {direction}" in summary_lines(snapshot)
        assert inspection_document(snapshot, False)["direction"] == direction


def test_boot_parameters_tell_which_way_a_handover_goes() -> None:
    """Those that a jump has moved are in scratch; a kernel that has loaded the next one, or none
    yet, has not jumped."""
    arrived, loaded = Sample(), Sample()
    loaded.scratch = [area for area in loaded.scratch if not area.contains(SETUP_DATA, 8)]
    for sample, direction in ((arrived, "incoming"), (loaded, "outgoing")):
        dump = dataclasses.replace(sample.finish().dump(), run=None, arch=None)
        snapshot = find_snapshot(dump)
        assert snapshot.scratch == tuple(sample.scratch) and snapshot.named_at
        assert snapshot.direction == direction
    image, _, _ = two_generations()
    assert find_snapshot(plain(image)).direction == "outgoing"


def test_memory_without_a_handover() -> None:
    image = HandoverImage()
    with pytest.raises(NoHandover, match="no boot parameters name one"):
        find_snapshot(plain(image))
