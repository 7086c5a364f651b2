# SPDX-License-Identifier: BSD-3-Clause
"""The clients' state and who owns which page."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view.handover_image import (
    LOG_TEXT,
    PAGE,
    FdtValue,
    HandoverImage,
    add_metadata,
    log_bytes,
    typical_image,
)

from khorig.kho.clients.khorig import Clients, decode_clients, read_ledger, read_store
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.owners import Claims, Owners
from khorig.kho.ownership import find_owners
from khorig.mem.errors import DecodeError


def read(image: HandoverImage) -> tuple[Clients, Owners]:
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert handover.problems == ()
    clients = decode_clients(image.memory, handover)
    return clients, find_owners(handover, clients)


def problems(image: HandoverImage) -> list[str]:
    return [p.id for p in read(image)[0].problems]


def test_typical() -> None:
    image = typical_image()
    clients, _ = read(image)
    assert clients.problems == ()
    assert clients.metadata and clients.metadata.kexec_count == 1
    assert clients.metadata.previous_release == "khorig"
    assert [r.name for r in clients.reserved] == ["mem0"]
    assert clients.archive and clients.archive.size == 8 * PAGE - 100
    assert clients.log and clients.log.written == len(LOG_TEXT)
    assert image.ram.read(clients.log.text.begin, len(LOG_TEXT)) == LOG_TEXT
    assert {n: s.size for n, s in clients.stores.items()} == {
        "db0": 5 * PAGE - 7,
        "db1": 12 * PAGE,
    }


def test_absent_clients_are_no_problem() -> None:
    clients, _ = read(HandoverImage())
    assert not (clients.metadata or clients.archive or clients.log)
    assert not clients.stores and not clients.reserved and not clients.problems


def test_store_content() -> None:
    image = typical_image()
    clients, _ = read(image)
    store = clients.stores["db1"]
    expected = b"".join(image.ram.read(int(f) << 12, 4 * PAGE) for f in store.vmalloc.blocks.frames)
    assert read_store(image.memory, store) == expected
    assert len(read_store(image.memory, clients.stores["db0"])) == 5 * PAGE - 7


def test_ledger() -> None:
    image = HandoverImage()
    entries = [(0x4000_0000 + i * PAGE, i * 3) for i in range(5)]
    raw = b"".join(struct.pack("<QQ", *e) for e in entries)
    add_store(image, image.vmalloc([image.preserved_page(raw)]), len(raw))
    clients, _ = read(image)
    ledger = read_ledger(image.memory, clients.stores["s"])
    assert [(int(e["page"]), int(e["hash"])) for e in ledger] == entries


def add_store(image: HandoverImage, vmalloc: FdtValue, size: FdtValue, **more: FdtValue) -> None:
    node = {"compatible": "khorig-store-v1", "vmalloc": vmalloc, "size": size} | more
    stores = image.fragment({"compatible": "khorig-stores-v1", "s": node})
    khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(khorig)


@pytest.mark.parametrize(
    "size, id",
    [(PAGE + 1, "store"), (b"1234", "property-size"), (1 << 63, "store")],
)
def test_store_size(size: FdtValue, id: str) -> None:
    image = HandoverImage()
    add_store(image, image.vmalloc([image.preserved_page()]), size)
    assert problems(image) == [id]


def test_store_vmalloc_and_kind() -> None:
    image = HandoverImage()
    add_store(image, b"", 3)
    assert problems(image) == ["property-size"]
    image = HandoverImage()
    add_store(image, image.vmalloc([image.preserved_page()]), 3, compatible="store-v9")
    assert problems(image) == ["client-compatible"]


def test_of_two_stores_with_one_name_the_first_counts() -> None:
    image = HandoverImage()
    first, second = image.preserved_page(b"first"), image.preserved_page(b"second")
    kind = "khorig-store-v1"
    more = image.fragment(
        {
            "compatible": "khorig-stores-v1",
            "db": {"compatible": kind, "vmalloc": image.vmalloc([second]), "size": 6},
        }
    )
    stores = image.fragment(
        {
            "compatible": "khorig-stores-v1",
            "db": {"compatible": kind, "vmalloc": image.vmalloc([first]), "size": 5},
            "more": image.link(more),
        }
    )
    khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(khorig)
    clients, _ = read(image)
    assert [(p.id, p.address) for p in clients.problems] == [("store", more)]
    assert read_store(image.memory, clients.stores["db"]) == b"first"


@pytest.mark.parametrize("size", [8, 17, 24])
def test_ledger_that_is_cut(size: int) -> None:
    image = HandoverImage()
    add_store(image, image.vmalloc([image.preserved_page()]), size)
    clients, _ = read(image)
    with pytest.raises(DecodeError) as caught:
        read_ledger(image.memory, clients.stores["s"])
    assert caught.value.problem.id == "ledger"


def test_foreign_client_fragment() -> None:
    image = HandoverImage()
    image.clients["khorig"] = image.link(image.fragment({"compatible": "khorig-v9"}))
    image.clients["memblock"] = image.link(image.fragment({"compatible": "memblock-v2"}))
    assert problems(image) == ["client-compatible", "client-compatible"]


def test_metadata() -> None:
    image = HandoverImage()
    image.clients["kexec-metadata"] = image.link(image.preserved_page(b"\1"), 72)
    assert problems(image) == ["metadata-size"]
    image = HandoverImage()
    image.clients["kexec-metadata"] = image.link(image.preserved_page(b"\2"), 73)
    assert problems(image) == ["metadata-version"]


@pytest.mark.parametrize(
    "area, id",
    [
        ({"start": 1}, "reserve-mem"),
        ({"start": 1, "size": b"1234"}, "property-size"),
        ({"compatible": "x", "start": 1, "size": 1}, "client-compatible"),
    ],
)
def test_reserved_memory(area: dict[str, FdtValue], id: str) -> None:
    image = HandoverImage()
    node: dict[str, FdtValue] = {"compatible": "reserve-mem-v1"} | area
    tree: dict[str, FdtValue] = {"compatible": "memblock-v1", "m": node}
    image.clients["memblock"] = image.link(image.fragment(tree))
    assert problems(image) == [id]


def test_what_follows_broken_reserved_memory_is_read() -> None:
    image = HandoverImage()
    kind: FdtValue = "reserve-mem-v1"
    tree: dict[str, FdtValue] = {"compatible": "memblock-v1"}
    tree["broken"] = {"compatible": kind, "start": 1}
    tree["foreign"] = {"compatible": "x", "start": 1, "size": 1}
    tree["good"] = {"compatible": kind, "start": PAGE, "size": 2 * PAGE}
    image.clients["memblock"] = image.link(image.fragment(tree))
    clients, _ = read(image)
    assert [p.id for p in clients.problems] == ["reserve-mem", "client-compatible"]
    assert [(r.name, r.area.begin, r.area.size) for r in clients.reserved] == [
        ("good", PAGE, 2 * PAGE)
    ]


def test_a_release_ends_with_its_terminator() -> None:
    image = HandoverImage()
    blob = struct.pack("<I65sI", 1, b"7.3.4\0-older", 3)
    image.clients["kexec-metadata"] = image.link(image.preserved_page(blob), len(blob))
    clients, _ = read(image)
    assert clients.metadata and clients.metadata.previous_release == "7.3.4"


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_log_ring_of_any_length(text: bytes) -> None:
    image = HandoverImage()
    blob = log_bytes(text, 100)
    log = image.preserved_page(blob)
    khorig = image.fragment({"compatible": "khorig-v1", "log": image.link(log, len(blob))})
    image.clients["khorig"] = image.link(khorig)
    clients, _ = read(image)
    assert clients.log and clients.log.written == len(text)
    assert (clients.log.text.begin, clients.log.text.size) == (log + 32, 100)


@pytest.mark.parametrize(
    "size, words",
    [(31, (0,)), (PAGE, (1, 64)), (PAGE, (None, 0)), (PAGE, (None, PAGE - 31))],
)
def test_log_header(size: int, words: tuple[int | None, ...]) -> None:
    image = HandoverImage()
    raw = b"".join(struct.pack("<Q", 0x676F6C2D67726F6B if w is None else w) for w in words)
    log = image.preserved_page(raw)
    khorig = image.fragment({"compatible": "khorig-v1", "log": image.link(log, size)})
    image.clients["khorig"] = image.link(khorig)
    assert problems(image) == ["log-header"]


# ---- owners


def test_every_page_has_its_owner() -> None:
    image = typical_image()
    clients, owners = read(image)
    assert not owners.clashes and not owners.strays
    assert not len(owners.unowned[0])
    assert owners.name(image.root >> 12) == "root"
    assert clients.archive and clients.log
    assert owners.name((clients.archive.begin >> 12) + 2) == "khorig/archive page 2"
    assert owners.name(clients.reserved[0].area.begin >> 12) == "memblock/mem0 page 0"
    store = clients.stores["db1"].vmalloc
    assert owners.name(int(store.blocks.frames[1]) + 3) == "khorig/stores/db1 page 7"
    assert owners.name(store.chunks[0] >> 12) == "khorig/stores/db1 chunk"
    assert owners.name(image.nodes[0] >> 12) == ""
    names = {owners.name(int(f)).split(" page ")[0] for f in owners.frames}
    assert {"fragment /khorig", "fragment /khorig/stores/more", "kexec-metadata"} < names
    assert owners.pages_of("khorig/log").tolist() == [
        clients.log.header.begin >> 12,
        (clients.log.header.begin >> 12) + 1,
    ]


def test_unowned_clash_and_stray() -> None:
    image = HandoverImage()
    lost = image.preserved_block(1)
    page = image.preserved_page()
    add_store(image, image.vmalloc([page]), 1)
    image.clients["x"] = image.link(page, 5)
    tree: dict[str, FdtValue] = {"compatible": "memblock-v1"}
    for name, start, size in (("free", image.allocate(), PAGE), ("huge", PAGE, 1 << 62)):
        tree[name] = {"compatible": "reserve-mem-v1", "start": start, "size": size}
    image.clients["memblock"] = image.link(image.fragment(tree))
    _, owners = read(image)
    assert [runs.tolist() for runs in owners.unowned] == [[lost >> 12], [(lost >> 12) + 2]]
    assert owners.name(lost >> 12) == "nobody"
    assert [(c.frame, c.first, c.second) for c in owners.clashes] == [
        (page >> 12, "x", "khorig/stores/s")
    ]
    assert [s.owner for s in owners.strays] == ["memblock/free", "memblock/huge"]


def test_store_with_pages_nobody_preserved() -> None:
    image = HandoverImage()
    free = image.allocate()
    add_store(image, image.vmalloc([free, image.preserved_page()]), 1)
    _, owners = read(image)
    assert [(s.frame, s.owner) for s in owners.strays] == [(free >> 12, "khorig/stores/s")]


def test_offsets_of_a_part_claim() -> None:
    image = HandoverImage()
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    claims = Claims()
    claims.claim_pages(np.array([1, image.root >> 12], dtype=np.int64), "x")
    owners = claims.settle(handover.blocks)
    assert owners.name(image.root >> 12) == "x"
    assert owners.strays[0].frame == 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_clients_never_raise(data: st.DataObject) -> None:
    image = typical_image()
    add_metadata(image, 3)
    image.finish()
    pages = [a for a, o in image.blocks if o == 0]
    for _ in range(data.draw(st.integers(1, 10))):
        at = data.draw(st.sampled_from(pages)) + data.draw(st.integers(0, 700))
        image.ram.write(at, data.draw(st.binary(min_size=1, max_size=9)))
    try:
        handover = decode_handover(image.memory, image.root, GEOMETRY_4K)
    except DecodeError:
        return
    clients = decode_clients(image.memory, handover)
    owners = find_owners(handover, clients)
    assert len(owners.frames) == handover.blocks.page_count
    for store in clients.stores.values():
        assert len(read_store(image.memory, store)) == store.size
