# SPDX-License-Identifier: BSD-3-Clause
"""The list of blocks and the model of the scenarios, as stores."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from view.handover_image import MIB, PAGE, RAM, FdtValue, HandoverImage

from khorig.kho.clients.khorig import Store, decode_clients
from khorig.kho.clients.scenario_blocks import (
    ChurnModel,
    OwnedBlocks,
    blocks_of_model,
    read_block_list,
    read_churn_model,
)
from khorig.kho.clients.scenario_state import read_scenario_state
from khorig.kho.clients.storm_model import read_storm_model, storm_blocks, storm_contended
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.ownership import find_owners
from khorig.mem.errors import DecodeError


def with_store(image: HandoverImage, content: bytes, name: str = "s") -> Store:
    pages = [
        image.preserved_page(content[at : at + PAGE]) for at in range(0, len(content) or 1, PAGE)
    ]
    vmalloc = image.vmalloc(pages)
    node: FdtValue = {
        "compatible": "khorig-store-v1",
        "vmalloc": vmalloc,
        "size": len(content),
    }
    stores = image.fragment({"compatible": "khorig-stores-v1", name: node})
    top = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(top)
    clients = decode_clients(
        image.memory, decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    )
    return clients.stores[name]


def test_block_list_and_its_owners() -> None:
    image = HandoverImage()
    blocks = [(image.preserved_block(order), order) for order in (0, 3, 1, 9)]
    store = with_store(image, b"".join(struct.pack("<Q", at | order) for at, order in blocks))
    listed = read_block_list(image.memory, store)
    assert [(f << 12, o) for f, o in zip(listed.frames.tolist(), listed.orders.tolist())] == blocks
    handover = decode_handover(image.memory, image.root, GEOMETRY_4K)
    clients = decode_clients(image.memory, handover)
    owners = find_owners(handover, clients, [OwnedBlocks("block", listed)])
    assert owners.name(blocks[0][0] >> 12) == "block 0 (order 0) page 0"
    assert owners.name((blocks[1][0] >> 12) + 7) == "block 1 (order 3) page 7"
    assert owners.name(blocks[3][0] >> 12) == "block 3 (order 9) page 0"
    assert not len(owners.unowned[0])


@pytest.mark.parametrize(
    "raw, text",
    [
        (b"1234567", "not whole entries"),
        (bytes(12), "not whole entries"),
        (struct.pack("<Q", 1 << 63), "0x8000000000000000"),
        (struct.pack("<Q", RAM.begin | 38), "order 38"),
        (struct.pack("<2Q", RAM.begin, RAM.end), "block 1 at 0x0000000044000000 is not inside RAM"),
        (struct.pack("<2Q", RAM.begin | 4, RAM.begin + PAGE), "block 1 at 0x0000000040001000 over"),
    ],
)
def test_broken_block_lists(raw: bytes, text: str) -> None:
    image = HandoverImage()
    with pytest.raises(DecodeError) as caught:
        read_block_list(image.memory, with_store(image, raw))
    assert caught.value.problem.id == "block-list" and text in caught.value.problem.text


def test_empty_block_list() -> None:
    image = HandoverImage()
    assert len(read_block_list(image.memory, with_store(image, b""))) == 0


@pytest.mark.parametrize(
    "region, size", [(RAM.begin + 8, 1024), (RAM.end - MIB, 1024), (RAM.begin, 1023)]
)
def test_broken_churn_models(region: int, size: int) -> None:
    image = HandoverImage()
    with pytest.raises(DecodeError) as caught:
        read_churn_model(image.memory, with_store(image, struct.pack("<Q", region) + bytes(size)))
    assert caught.value.problem.id == "churn-model"


@pytest.mark.parametrize(
    "at, block, good",
    [
        (0, b"\x01", True),
        (4, b"\x03\xff\xff\xff", True),
        (4, b"\x03\xff\xff\x00", False),  # the last page of it is nothing
        (4, b"\x03\xff\xff\x01", False),
        (4, b"\xff", False),  # the rest of no block
        (1022, b"\x02\xff", True),
        (1023, b"\x02", False),  # it would reach behind the region
        (1020, b"\x04\xff\xff\xff", False),
        (0, b"\x0b" + b"\xff" * 1023, True),
        (0, b"\x0c" + b"\xff" * 1023, False),
        (0, b"\x40", False),
    ],
)
def test_which_bytes_are_blocks(at: int, block: bytes, good: bool) -> None:
    pages = np.zeros(1024, dtype=np.uint8)
    pages[at : at + len(block)] = list(block)
    model = ChurnModel(RAM.begin, pages)
    if good:
        blocks = blocks_of_model(model, GEOMETRY_4K)
        assert blocks.frames.tolist() == [(RAM.begin >> 12) + at]
        assert blocks.orders.tolist() == [block[0] - 1]
    else:
        with pytest.raises(DecodeError) as caught:
            blocks_of_model(model, GEOMETRY_4K)
        assert caught.value.problem.id == "churn-model"


def test_the_storm() -> None:
    image = HandoverImage()
    region, contended = RAM.begin + 8 * MIB, RAM.begin + 2 * MIB
    raw = struct.pack("<3Q", region, contended, 4) + b"\x02\xff" + bytes(1022)
    model = read_storm_model(image.memory, with_store(image, raw))
    assert (model.region, model.contended, model.cpus) == (region, contended, 4)
    assert (storm_blocks(model, GEOMETRY_4K).frames << 12).tolist() == [region]
    assert storm_contended(model, GEOMETRY_4K).frames.tolist() == [
        (contended >> 12) + n for n in range(0, 64, 2)
    ]


@pytest.mark.parametrize(
    "region, contended, size",
    [
        (RAM.end - MIB, RAM.begin, 1024),
        (RAM.begin, RAM.end - 63 * PAGE, 1024),
        (RAM.begin, RAM.end, 1024),
        (RAM.begin + 8, RAM.begin, 1024),
        (RAM.begin, RAM.begin + 8, 1024),
        (RAM.begin, RAM.begin, 1023),
    ],
)
def test_broken_storm_models(region: int, contended: int, size: int) -> None:
    image = HandoverImage()
    raw = struct.pack("<3Q", region, contended, 4) + bytes(size)
    with pytest.raises(DecodeError) as caught:
        read_storm_model(image.memory, with_store(image, raw))
    assert caught.value.problem.id == "storm-model"


@pytest.mark.parametrize("name, head", [("churn", "<Q"), ("storm", "<3Q")])
def test_what_models_name_is_owned(name: str, head: str) -> None:
    image = HandoverImage()
    region = image.allocate(10)
    image.allocated.pop()
    image.preserve(region, 1)
    fields = (region, region, 1)[: struct.calcsize(head) // 8]  # no contended page is asked for
    with_store(image, struct.pack(head, *fields) + b"\x02\xff" + bytes(1022), name)
    handover = decode_handover(image.memory, image.root, GEOMETRY_4K)
    clients = decode_clients(image.memory, handover)
    state = read_scenario_state(image.memory, clients.stores, GEOMETRY_4K)
    assert not state.problems
    owners = find_owners(handover, clients, state.owned)
    assert owners.name((region >> 12) + 1) == f"{name} block 0 (order 1) page 1"
