# SPDX-License-Identifier: BSD-3-Clause
"""Fragments: one FDT, the links in it, and the tree they make."""

from __future__ import annotations

import struct
from typing import Callable

import libfdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view.handover_image import PAGE, RAM, FdtValue, HandoverImage, fdt_bytes, typical_image

from khorig.kho.fdt import parse_fdt, read_fdt
from khorig.kho.fragment import open_fragment, read_link, string_property
from khorig.kho.handover import Handover, decode_handover
from khorig.kho.layout import GEOMETRY_4K, MAX_FRAGMENT_DEPTH
from khorig.mem.errors import DecodeError


def cause(call: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(DecodeError) as caught:
        call()
    return caught.value.problem.id, caught.value.problem.address


def problems(handover: Handover) -> list[str]:
    return [p.id for p in handover.problems]


def page_with(content: bytes) -> tuple[HandoverImage, int]:
    image = HandoverImage()
    return image, image.preserved_page(content)


def test_tree_comes_back() -> None:
    tree: dict[str, FdtValue] = {
        "compatible": "khorig-v1",
        "empty": b"",
        "a": {"x": 7, "b": {"y": "text"}, "c": {}},
        "d": {"z": b"\xff"},
    }
    image, at = page_with(fdt_bytes(tree))
    root = open_fragment(image.memory, at, "/f", 2, GEOMETRY_4K)
    assert root.compatible == "khorig-v1"
    assert [p for p, _ in root.tree.walk("/f")] == ["/f", "/f/a", "/f/a/b", "/f/a/c", "/f/d"]
    a = root.tree.children[0]
    assert a.properties == {"x": struct.pack("<Q", 7)}
    assert string_property(a.children[0], "y") == "text"
    assert root.tree.properties["empty"] == b""
    assert string_property(root.tree, "empty") is None


def test_deep_nesting_inside_one_page() -> None:
    tree: dict[str, FdtValue] = {}
    for _ in range(250):
        tree = {"n": tree}
    image, at = page_with(fdt_bytes(tree))
    root = open_fragment(image.memory, at, "", 1, GEOMETRY_4K)
    assert len(list(root.tree.walk())) == 251


@pytest.mark.parametrize("value", [0, 0xD00DFEEE, 0xEDFE0DD0])
def test_magic(value: int) -> None:
    image, at = page_with(struct.pack(">I", value) + fdt_bytes({})[4:])
    assert cause(lambda: read_fdt(image.memory, at, PAGE)) == ("fdt-magic", at)


@pytest.mark.parametrize("size", [0, 39, PAGE + 1, 0xFFFFFFFF])
def test_totalsize(size: int) -> None:
    blob = bytearray(fdt_bytes({}))
    struct.pack_into(">I", blob, 4, size)
    image, at = page_with(bytes(blob))
    assert cause(lambda: read_fdt(image.memory, at, PAGE)) == ("fdt-total-size", at)


def test_end_of_ram() -> None:
    image = HandoverImage()
    assert cause(lambda: read_fdt(image.memory, RAM.end, PAGE)) == ("outside-ram", RAM.end)
    image.ram.write(RAM.end - 64, fdt_bytes({})[:64])
    assert cause(lambda: read_fdt(image.memory, RAM.end - 64, PAGE))[0] == "outside-ram"


def test_structure_and_alignment() -> None:
    blob = bytearray(fdt_bytes({"compatible": "x"}))
    blob[blob.index(b"\0\0\0\x03") + 3] = 5
    image, at = page_with(bytes(blob))
    for address, id in ((at, "fdt-structure"), (at + 4, "unaligned")):
        with pytest.raises(DecodeError) as caught:
            open_fragment(image.memory, address, "", 1, GEOMETRY_4K)
        assert (caught.value.problem.id, caught.value.problem.address) == (id, address)


@pytest.mark.parametrize("old, new", [(b"name", b"\xff\xfe\xfd\xfc"), (b"node", b"n\nde")])
def test_names_that_are_no_text(old: bytes, new: bytes) -> None:
    image, at = page_with(fdt_bytes({"name": 1, "node": {}}).replace(old, new))
    assert cause(lambda: open_fragment(image.memory, at, "", 1, GEOMETRY_4K)) == (
        "fdt-structure",
        at,
    )


@pytest.mark.parametrize(
    "content, id",
    [
        ({"blob-size": 8}, "data-missing"),
        ({"preserved-data": 8}, "blob-size-missing"),
        ({"preserved-data": b"1234", "blob-size": 8}, "property-size"),
        ({"preserved-data": 8, "blob-size": b"123456789"}, "property-size"),
        ({"preserved-data": 8, "blob-size": 0}, "blob-size-range"),
    ],
)
def test_broken_links(content: dict[str, FdtValue], id: str) -> None:
    node = parse_fdt(bytearray(fdt_bytes({"n": content})), 0).children[0]
    assert cause(lambda: read_link(node, "/n", 4711)) == (id, 4711)


@pytest.mark.parametrize(
    "content, id",
    [({"preserved-data": 1 << 30}, "blob-size-missing"), ({"blob-size": 8}, "data-missing")],
)
def test_half_a_link_inside_a_fragment_is_a_broken_link(
    content: dict[str, FdtValue], id: str
) -> None:
    image = HandoverImage()
    inner = image.fragment({"a": {"b": content}})
    image.clients["x"] = image.link(inner)
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert [(p.id, p.address) for p in handover.problems] == [(id, inner)]


def test_of_two_properties_with_one_name_the_first_counts() -> None:
    blob = bytearray(fdt_bytes({"n": {"aaaa": 1, "bbbb": 2}}).replace(b"bbbb", b"aaaa"))
    assert libfdt.fdt_check_full(blob, PAGE) == 0
    assert parse_fdt(blob, 0).children[0].properties == {"aaaa": struct.pack("<Q", 1)}


def test_link_is_little_endian_and_64_bit() -> None:
    blob = bytearray(fdt_bytes({"n": {"preserved-data": 1 << 40, "blob-size": 3}}))
    link = read_link(parse_fdt(blob, 0).children[0], "/n", 0)
    assert (link.blob.begin, link.blob.size) == (1 << 40, 3)


# ---- the tree of fragments


def test_typical_handover() -> None:
    image = typical_image()
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert problems(handover) == []
    assert handover.clients == 3
    assert [f.path for f in handover.fragments] == [
        "",
        "/khorig",
        "/khorig/stores",
        "/khorig/stores/more",
        "/memblock",
    ]
    assert [b.path for b in handover.blobs] == ["/kexec-metadata", "/khorig/archive", "/khorig/log"]
    assert handover.depth == 4
    pairs = zip(handover.blocks.frames.tolist(), handover.blocks.orders.tolist())
    assert {(frame << 12, order) for frame, order in pairs} == set(image.blocks)


def test_links_deep_inside_a_fragment() -> None:
    image = HandoverImage()
    leaf = image.preserved_block(1)
    inner = image.fragment({"a": {"b": {"c": image.link(leaf, 2 * PAGE)}}})
    image.clients["x"] = image.link(inner)
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert problems(handover) == []
    blob = handover.blob("/x/a/b/c")
    assert blob and blob.blob.begin == leaf


def test_fragments_of_linux_without_links_pass() -> None:
    image = HandoverImage()
    image.clients["test"] = image.link(image.fragment({"compatible": "kho-test-v1", "n": 3}))
    image.clients["LUO"] = image.link(image.preserved_page(b"luo-v5\0\0"), 32)
    assert problems(decode_handover(image.memory, image.finish(), GEOMETRY_4K)) == []


def chain(image: HandoverImage, length: int) -> int:
    """Fragments linked one from the other, the last one empty."""
    at = image.fragment({})
    for _ in range(length - 1):
        at = image.fragment({"n": image.link(at)})
    return at


@pytest.mark.parametrize("below, expected", [(63, []), (64, ["fragment-depth"])])
def test_depth(below: int, expected: list[str]) -> None:
    image = HandoverImage()
    image.clients["x"] = image.link(chain(image, below))
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert problems(handover) == expected
    assert handover.depth == MAX_FRAGMENT_DEPTH


def test_fragment_that_links_to_itself() -> None:
    image = HandoverImage()
    at = image.allocate()
    image.preserve(at, 0)
    image.ram.write(at, fdt_bytes({"n": image.link(at)}))
    image.clients["x"] = image.link(at)
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert [(p.id, p.address) for p in handover.problems] == [("fragment-cycle", at)]


def test_fragment_that_links_to_the_root_and_shared_fragments() -> None:
    image = HandoverImage()
    image.clients["x"] = image.link(image.fragment({"n": image.link(image.root)}))
    shared = image.fragment({})
    image.clients["y"] = image.link(shared)
    image.clients["z"] = image.link(shared)
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert {(p.id, p.address) for p in handover.problems} == {
        ("fragment-cycle", image.root),
        ("fragment-cycle", shared),
    }


def test_blobs_must_be_preserved() -> None:
    image = HandoverImage()
    free = image.allocate()
    image.clients["absent"] = image.link(free, 10)
    block = image.preserved_block(1)
    image.clients["long"] = image.link(block, 2 * PAGE + 1)
    image.clients["huge"] = image.link(block, 1 << 63)
    image.clients["outside"] = image.link(1 << 52, 8)
    image.allocate()
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert [(p.id, p.address) for p in handover.problems] == [
        ("blob-not-preserved", free),
        ("blob-size-range", block),
        ("blob-size-range", block),
        ("outside-ram", 1 << 52),
    ]


def test_problems_of_the_tracker_are_the_handovers() -> None:
    image = HandoverImage()
    image.preserve(RAM.end, 0)
    image.preserve(image.preserved_block(1) + PAGE, 0)
    root = image.finish()
    image.write_u64(image.nodes[0] + 8 * 300, 8)
    found = decode_handover(image.memory, root, GEOMETRY_4K).problems
    assert [(p.id, p.subject) for p in found] == [
        ("unaligned", "node"), ("outside-ram", "block"), ("overlap", "block"),
    ]  # fmt: skip


def test_a_blob_may_lie_in_several_blocks() -> None:
    image = HandoverImage()
    first = image.preserved_page()
    for _ in range(3):
        image.preserved_page()
    image.clients["x"] = image.link(first + 100, 4 * PAGE - 100)
    assert problems(decode_handover(image.memory, image.finish(), GEOMETRY_4K)) == []


def test_client_without_properties() -> None:
    image = HandoverImage()
    image.clients["x"] = {}
    assert problems(decode_handover(image.memory, image.finish(), GEOMETRY_4K)) == ["data-missing"]


# ---- the root


def test_root_not_preserved() -> None:
    image = HandoverImage()
    image.blocks.clear()
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert [(p.id, p.address) for p in handover.problems] == [("blob-not-preserved", image.root)]
    image.preserved_page()  # another page is, the root still is not
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    assert [(p.id, p.address) for p in handover.problems] == [("blob-not-preserved", image.root)]


@pytest.mark.parametrize(
    "change, id",
    [
        ({"compatible": "kho-v3"}, "compatible-mismatch"),
        ({"compatible": b"kho-v4"}, "compatible-mismatch"),
        ({"compatible": b"kho-v4\0kho-v3\0"}, "compatible-mismatch"),
        ({"preserved_memory_map": b"1234"}, "property-size"),
    ],
)
def test_root_properties(change: dict[str, FdtValue], id: str) -> None:
    image = HandoverImage()
    image.finish(**change)
    assert cause(lambda: decode_handover(image.memory, image.root, GEOMETRY_4K)) == (id, image.root)


@pytest.mark.parametrize(
    "name, id", [("compatible", "compatible-missing"), ("preserved-memory-map", "map-missing")]
)
def test_missing_root_properties(name: str, id: str) -> None:
    image = HandoverImage()
    blob = bytearray(image.ram.read(image.finish(), PAGE))
    assert libfdt.fdt_delprop(blob, 0, name) == 0
    image.ram.write(image.root, bytes(blob))
    assert cause(lambda: decode_handover(image.memory, image.root, GEOMETRY_4K)) == (id, image.root)


def test_root_placement() -> None:
    image = HandoverImage()
    root = image.finish()
    assert cause(lambda: decode_handover(image.memory, root + 8, GEOMETRY_4K)) == (
        "unaligned",
        root + 8,
    )
    assert cause(lambda: decode_handover(image.memory, 0, GEOMETRY_4K)) == ("outside-ram", 0)


def test_map_that_is_the_root_itself() -> None:
    image = HandoverImage()
    image.finish(preserved_memory_map=image.root)
    assert problems(decode_handover(image.memory, image.root, GEOMETRY_4K))[0] == "overlap"


# ---- hostile bytes


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_handovers_never_raise_anything_else(data: st.DataObject) -> None:
    image = typical_image()
    root = image.finish()
    pages = image.nodes + [a for a, o in image.blocks if o == 0]
    for _ in range(data.draw(st.integers(1, 10))):
        page = data.draw(st.sampled_from(pages))
        at = page + data.draw(st.integers(0, 700))
        image.ram.write(at, data.draw(st.binary(min_size=1, max_size=12)))
    try:
        handover = decode_handover(image.memory, root, GEOMETRY_4K)
    except DecodeError as error:
        assert error.problem.text
    else:
        assert handover.depth <= MAX_FRAGMENT_DEPTH
