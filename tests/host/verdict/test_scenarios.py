# SPDX-License-Identifier: BSD-3-Clause
"""What the host builds again from the seed: random numbers, the tree of fragments, the churn."""

from __future__ import annotations

import struct
from typing import Callable

import libfdt
import numpy as np
import pytest
from verdict.fake_guest import stop_of
from view.handover_image import PAGE, FdtValue, HandoverImage

from khorig.guest.khorig_run import KhorigRun
from khorig.kho.clients.scenario_blocks import ChurnModel, blocks_of_model
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.snapshot import snapshot_of_stop
from khorig.mem.errors import DecodeError
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import SCENARIO
from khorig.rules.protocol.scenarios import churn, recursion
from khorig.rules.protocol.scenarios.random_stream import RandomStream
from khorig.rules.protocol.scenarios.scenario_options import number_option
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record, take_record

SEED = 77


def test_splitmix64() -> None:
    """The published test vector of splitmix64 for the state 1234567."""
    stream = RandomStream("any", 0)
    stream._state = 1234567
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [stream.next() for _ in range(5)] == expected
    stream._state = 1234567
    assert stream.take(3).tolist() == expected[:3]
    assert stream.next() == expected[3]
    assert stream.below(1000) == expected[4] % 1000


def test_streams_differ_by_purpose_and_seed() -> None:
    firsts = {RandomStream(p, s).next() for p in ("a", "b") for s in (0, 1, (1 << 64) - 1)}
    assert len(firsts) == 6


def test_options() -> None:
    spec = KhorigRun("x86_64", "q35", extra_options=("fragments=0x20", "operations=7", "x=y"))
    assert number_option(spec, "fragments", 5) == 32
    assert number_option(spec, "operations", 5) == 7
    assert number_option(spec, "other", 5) == number_option(spec, "x", 5) == 5


def findings_of(
    image: HandoverImage, check: Callable[[Stop, Record], list[Finding]], *options: str
) -> list[Finding]:
    """What a check finds in an image at `sealed` of generation 1."""
    spec = KhorigRun("x86_64", "q35", seed=SEED, extra_options=options)
    stop = stop_of(image.memory, spec)
    return check(stop, take_record(1, "sealed", snapshot_of_stop(stop.dump(image.root))))


# ---- recursion

COUNT = 60


def test_shape() -> None:
    tree = recursion.expected_tree(SEED, 1200)
    assert len(set(tree.paths)) == 1200
    assert all(tree.children[i][0] == i + 1 for i in range(11))
    assert max(map(len, tree.children)) <= 8
    levels = [path.count("/") - 1 for path in tree.paths]
    assert 12 <= max(levels) <= 24
    assert sorted(c for children in tree.children for c in children) == list(range(1, 1200))
    assert recursion.expected_tree(SEED + 1, 1200) != tree


def tree_image(**changes: FdtValue) -> tuple[HandoverImage, dict[int, int]]:
    """A handover with the tree; `changes` replace properties of fragment 7. Returns the address of
    each fragment as well."""
    image = HandoverImage()
    tree = recursion.expected_tree(SEED, COUNT)
    addresses: dict[int, int] = {}
    for number in reversed(range(COUNT)):
        content: dict[str, FdtValue] = {
            "compatible": "khorig-tree-v1",
            "id": number,
            "payload": recursion.expected_payload(SEED, number),
        }
        if number == 7:
            content |= changes
        for child in tree.children[number]:
            content[f"f{child}"] = image.link(addresses[child])
        addresses[number] = image.fragment(content)
    top = image.fragment({"compatible": "khorig-v1", "tree": image.link(addresses[0])})
    image.clients["khorig"] = image.link(top)
    image.finish()
    return image, addresses


def check_tree(image: HandoverImage, count: int = COUNT) -> list[Finding]:
    return findings_of(image, recursion.check_fragment_tree, f"fragments={count}")


def test_tree_as_the_seed_decides() -> None:
    image, _ = tree_image()
    assert check_tree(image) == []


@pytest.mark.parametrize(
    "name, value", [("id", 8), ("payload", b"other"), ("payload", b""), ("compatible", "x")]
)
def test_fragment_with_other_content(name: str, value: FdtValue) -> None:
    image, addresses = tree_image(**{name: value})
    findings = check_tree(image)
    assert len(findings) == 1
    assert name in findings[0].what and "fragment 7 " in findings[0].what
    assert findings[0].where == f"{addresses[7]:#018x}"
    assert findings[0].owner == "fragment " + recursion.expected_tree(SEED, COUNT).paths[7]


def test_missing_and_surplus_fragments() -> None:
    image, addresses = tree_image()
    findings = check_tree(image, COUNT + 1)
    assert any(f"fragment {COUNT} missing" in f.what for f in findings)
    findings = check_tree(image, COUNT - 1)
    assert findings and all(f.rule == SCENARIO for f in findings)
    assert any("unexpected fragment" in f.what for f in findings)


def test_swapped_links() -> None:
    """Two children in each other's place: the right fragments, wrongly linked."""
    image, addresses = tree_image()
    children = recursion.expected_tree(SEED, COUNT).children
    parent = next(n for n, below in enumerate(children) if len(below) > 1)
    first, second = children[parent][:2]
    page = bytearray(image.ram.read(addresses[parent], PAGE))
    for name, target in ((first, second), (second, first)):
        node = libfdt.fdt_path_offset(page, f"/f{name}")
        libfdt.fdt_setprop(page, node, "preserved-data", struct.pack("<Q", addresses[target]), 8)
    image.ram.write(addresses[parent], bytes(page))
    assert check_tree(image)


# ---- churn


def churn_image(model: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> HandoverImage:
    """A handover whose tree and store "churn" follow `model`."""
    image = HandoverImage()
    region = image.allocate(10)
    image.allocated.pop()
    for frame, order in model_blocks(region, model):
        image.preserve(frame << 12, order)
    pages = image.vmalloc([image.preserved_page(struct.pack("<Q", region) + model.tobytes())])
    node: FdtValue = {"compatible": "khorig-store-v1", "vmalloc": pages, "size": 8 + 1024}
    stores = image.fragment({"compatible": "khorig-stores-v1", "churn": node})
    top = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(top)
    image.finish()
    return image


def model_blocks(
    region: int, model: np.ndarray[tuple[int], np.dtype[np.uint8]]
) -> list[tuple[int, int]]:
    return [
        ((region >> 12) + page, int(byte) - 1)
        for page, byte in enumerate(model)
        if byte not in (0, 0xFF)
    ]


def test_model_by_hand() -> None:
    """Three operations, carried out on paper from the stream's numbers."""
    numbers = RandomStream("churn", 5).take(6).tolist()
    expected = bytearray(1024)
    for order, at in ((numbers[i] % 6, numbers[i + 1]) for i in (0, 2, 4)):
        begin = at % (1024 >> order) << order
        expected[begin : begin + (1 << order)] = b"\xff" * (1 << order)
        expected[begin] = 1 + order
    assert churn.expected_model(5, 3).tobytes() == bytes(expected)


def test_churn_as_the_seed_decides() -> None:
    model = churn.expected_model(SEED + 1, 20000)
    assert findings_of(churn_image(model), churn.check_churn) == []
    assert findings_of(churn_image(model), churn.check_churn, "operations=19000") != []


def test_model_that_differs_from_the_seed() -> None:
    model = churn.expected_model(SEED + 1, 20000).copy()
    page = int(np.flatnonzero(model == 1)[0])
    model[page] = 0
    findings = findings_of(churn_image(model), churn.check_churn)
    assert f"page {page} of the region: 0x00" in findings[0].what
    assert "is not preserved, expected preserved" in findings[1].what


def test_tree_that_differs_from_the_model() -> None:
    model = churn.expected_model(SEED + 1, 20000)
    image = churn_image(model)
    address, order = next(block for block in image.blocks if block[1] > 1)
    image.blocks.remove((address, order))
    image.finish()
    findings = findings_of(image, churn.check_churn)
    assert [f.where for f in findings] == [f"{address:#018x}"]
    image.preserve(address, 0)
    image.finish()
    added, lost = findings_of(image, churn.check_churn)
    assert "of order 0 is preserved, expected unpreserved" in added.what
    assert f"of order {order} is not preserved, expected preserved" in lost.what


def test_no_store() -> None:
    image = HandoverImage()
    image.finish()
    assert "no readable store" in findings_of(image, churn.check_churn)[0].what


@pytest.mark.parametrize("page, byte", [(0, 0xFF), (1023, 2), (0, 12), (5, 200)])
def test_models_that_describe_no_blocks(page: int, byte: int) -> None:
    pages = np.zeros(1024, dtype=np.uint8)
    pages[page] = byte
    with pytest.raises(DecodeError) as caught:
        blocks_of_model(ChurnModel(0x4000_0000, pages), GEOMETRY_4K)
    assert caught.value.problem.id == "churn-model"
