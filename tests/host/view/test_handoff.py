# SPDX-License-Identifier: BSD-3-Clause
"""The anchor in boot_params and in the device tree, the scratch array, and the frame table."""

from __future__ import annotations

import struct
from typing import Callable

import libfdt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view.frame_table_writer import write_frame_table
from view.handover_image import MIB, PAGE, RAM, SCRATCH, HandoverImage

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.frame_table import FrameState, frame_byte, read_frame_table
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.scratch import check_scratch, read_scratch
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange

PARAMETERS = SCRATCH[0].begin
ARRAY = PARAMETERS + 0x2000


def cause(call: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(DecodeError) as caught:
        call()
    return caught.value.problem.id, caught.value.problem.address


def boot_params(image: HandoverImage, nodes: list[tuple[int, bytes]], last: int = 0) -> None:
    """A boot_params with a list of setup_data."""
    at = PARAMETERS + PAGE
    link = PARAMETERS + 0x250
    for kind, data in nodes:
        image.write_u64(link, at)
        image.ram.write(at, struct.pack("<QII", last, kind, len(data)) + data)
        link, at = at, at + 256


def test_boot_params() -> None:
    image = HandoverImage()
    kho = struct.pack("<4Q", 0x4242000, PAGE, ARRAY, 32)
    boot_params(image, [(9, bytes(32)), (1, b""), (2, b""), (10, kho), (5, b"")])
    found = find_handoff(image.memory, "x86_64", PARAMETERS)
    assert found
    assert (found.root.value, found.root_size.value) == (0x4242000, PAGE)
    assert found.scratch_array == PhysRange(ARRAY, 32)
    image.ram.write(found.scratch_size.address, found.scratch_size.encode(33))
    again = find_handoff(image.memory, "x86_64", PARAMETERS)
    assert again and again.scratch_size.value == 33


def test_boot_params_without_handover() -> None:
    image = HandoverImage()
    assert find_handoff(image.memory, "x86_64", PARAMETERS) is None
    boot_params(image, [(9, bytes(32))])
    assert find_handoff(image.memory, "x86_64", PARAMETERS) is None


def test_broken_setup_data() -> None:
    image = HandoverImage()

    def finder() -> Handoff | None:
        return find_handoff(image.memory, "x86_64", PARAMETERS)

    boot_params(image, [(1, b"")], last=PARAMETERS + PAGE)
    assert cause(finder)[0] == "setup-data"
    boot_params(image, [(1, b"")], last=RAM.end - 8)
    assert cause(finder) == ("outside-ram", RAM.end - 8)
    for size in (31, 33):
        boot_params(image, [(10, bytes(size))])
        assert cause(finder)[0] == "setup-data"


def device_tree(
    image: HandoverImage, cells: int = 2, size_cells: int | None = None, **properties: bytes
) -> None:
    """A device tree whose /chosen has `properties`, with _ for - and "linux," in front. A size has
    `cells`, too, where `size_cells` is not given."""
    fdt = libfdt.FdtSw()
    fdt.finish_reservemap()
    fdt.begin_node("")
    fdt.property_u32("#address-cells", cells)
    fdt.property_u32("#size-cells", cells if size_cells is None else size_cells)
    fdt.begin_node("chosen")
    fdt.property_string("bootargs", "x")
    for name, value in properties.items():
        fdt.property("linux," + name.replace("_", "-"), value)
    fdt.end_node()
    fdt.end_node()
    image.ram.write(PARAMETERS, bytes(fdt.as_fdt().as_bytearray()))


def test_device_tree() -> None:
    image = HandoverImage()
    device_tree(
        image, kho_fdt=struct.pack(">QQ", 1 << 33, PAGE), kho_scratch=struct.pack(">QQ", ARRAY, 48)
    )
    found = find_handoff(image.memory, "arm64", PARAMETERS)
    assert found
    assert (found.root.value, found.root_size.value) == (1 << 33, PAGE)
    assert found.scratch_array == PhysRange(ARRAY, 48)
    image.ram.write(found.scratch.address, found.scratch.encode(ARRAY + 1))
    image.ram.write(found.root_size.address, found.root_size.encode(7))
    again = find_handoff(image.memory, "arm64", PARAMETERS)
    assert again and (again.scratch.value, again.root_size.value) == (ARRAY + 1, 7)
    assert again.root.value == 1 << 33


def test_device_tree_with_32_bit_cells() -> None:
    image = HandoverImage()
    device_tree(image, 1, kho_fdt=struct.pack(">II", 9, 8), kho_scratch=struct.pack(">II", 7, 6))
    found = find_handoff(image.memory, "arm64", PARAMETERS)
    assert found and (found.root.value, found.scratch_size.value) == (9, 6)
    assert found.scratch.size == 4


def test_device_tree_with_sizes_shorter_than_addresses() -> None:
    image = HandoverImage()
    device_tree(
        image, 2, 1, kho_fdt=struct.pack(">QI", 1 << 33, 8), kho_scratch=struct.pack(">QI", 7, 6)
    )
    found = find_handoff(image.memory, "arm64", PARAMETERS)
    assert found and (found.root.value, found.root_size.value) == (1 << 33, 8)
    assert (found.scratch.value, found.scratch_size.value) == (7, 6)


def test_device_tree_without_or_with_half_a_handover() -> None:
    image = HandoverImage()

    def finder() -> Handoff | None:
        return find_handoff(image.memory, "arm64", PARAMETERS)

    assert cause(finder) == ("fdt-magic", PARAMETERS)
    device_tree(image)
    assert finder() is None
    device_tree(image, kho_fdt=bytes(16))
    assert cause(finder)[0] == "property-size"
    two_tuples = bytes(32)  # of which Linux takes none
    device_tree(image, kho_fdt=two_tuples, kho_scratch=bytes(16))
    assert cause(finder)[0] == "property-size"
    for value in (bytes(16), b""):
        device_tree(image, 0, kho_fdt=value, kho_scratch=value)
        assert cause(finder)[0] == "property-size"


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.integers(0, 400))
def test_hostile_parameters(noise: bytes, at: int) -> None:
    image = HandoverImage()
    device_tree(image, kho_fdt=bytes(16), kho_scratch=bytes(16))
    image.ram.write(PARAMETERS + at, noise)
    boot_params(image, [(10, bytes(32)), (10, bytes(32))])
    image.ram.write(PARAMETERS + 0x250 + at, noise)
    for arch in ("x86_64", "arm64"):
        try:
            find_handoff(image.memory, arch, PARAMETERS)
        except DecodeError as error:
            assert error.problem.text


# ---- scratch


def array(image: HandoverImage, *areas: tuple[int, int]) -> PhysRange:
    raw = b"".join(struct.pack("<QQ", *a) for a in areas)
    image.ram.write(ARRAY, raw)
    return PhysRange(ARRAY, len(raw))


GOOD = (SCRATCH[0].begin, SCRATCH[0].size)


def test_scratch_array() -> None:
    image = HandoverImage()
    areas = read_scratch(image.memory, array(image, GOOD, (1 << 33, 4 * MIB)))
    assert areas == (SCRATCH[0], PhysRange(1 << 33, 4 * MIB))
    assert check_scratch(image.memory, SCRATCH, GEOMETRY_4K) == []
    empty = (PhysRange(0, 0), PhysRange(SCRATCH[0].begin, 0))  # Linux has such
    assert check_scratch(image.memory, (*SCRATCH, *empty), GEOMETRY_4K) == []


@pytest.mark.parametrize("size", [0, 15, 17, 33, 65 * 16, 1 << 60])
def test_scratch_length(size: int) -> None:
    image = HandoverImage()
    assert cause(lambda: read_scratch(image.memory, PhysRange(ARRAY, size)))[0] == "scratch-length"


def test_scratch_array_outside_ram() -> None:
    where = PhysRange(RAM.end, 16)
    assert cause(lambda: read_scratch(HandoverImage().memory, where))[0] == "outside-ram"


@pytest.mark.parametrize(
    "areas, id",
    [
        ([], "scratch-length"),
        ([(RAM.begin + PAGE, 4 * MIB)], "scratch-unaligned"),
        ([(RAM.begin, 4 * MIB + PAGE)], "scratch-unaligned"),
        ([(RAM.begin, 0), (0, 0)], "scratch-length"),
        ([(RAM.end, 4 * MIB)], "outside-ram"),
        ([(RAM.end - 4 * MIB, 8 * MIB)], "outside-ram"),
        ([GOOD, GOOD], "scratch-overlap"),
        ([GOOD, (RAM.begin, 4 * MIB), GOOD], "scratch-overlap"),
        ([(RAM.begin, 16 * MIB), (RAM.begin + 8 * MIB, 4 * MIB)], "scratch-overlap"),
    ],
)
def test_scratch_rules(areas: list[tuple[int, int]], id: str) -> None:
    found = check_scratch(HandoverImage().memory, [PhysRange(*a) for a in areas], GEOMETRY_4K)
    assert [p.id for p in found] == [id]


# ---- frame table


def test_frame_table() -> None:
    image = HandoverImage()
    entries = bytes([0x20, 0xA0, 0x43, 0x5F, 0x5F, 0x60, 0x1F])
    write_frame_table(image.ram, RAM.begin, bytes(100) + entries)
    table = read_frame_table(image.memory, RAM.begin, 100, 7, GEOMETRY_4K)
    free, scratch, head, tail = (table.at(100 + i) for i in range(4))
    assert (free.state, free.order, free.in_scratch) == (FrameState.FREE, 0, False)
    assert (scratch.state, scratch.in_scratch) == (FrameState.FREE, True)
    assert (head.state, head.order) == (FrameState.ALLOCATED, 3)
    assert (tail.state, tail.order) == (FrameState.ALLOCATED, None)
    assert table.at(105).state is FrameState.PRESERVED
    assert table.at(99).state is table.at(107).state is FrameState.NOT_RAM
    assert table.at(98).state is table.at(0).state is FrameState.NOT_RAM
    frames = np.array([99, 100, 106, 107], dtype=np.int64)
    assert table.covers(frames).tolist() == [False, True, True, False]
    assert table.frames_in(FrameState.ALLOCATED).tolist() == [102, 103, 104]
    assert str(head) == "allocated head of order 3 (0x43)"
    assert str(scratch) == "free head of order 0, scratch (0xa0)"
    assert frame_byte(FrameState.ALLOCATED, 3) == 0x43
    assert frame_byte(FrameState.ALLOCATED, None) == 0x5F


def test_frame_table_without_bytes_for_uniform_chunks() -> None:
    image = HandoverImage()
    first = 3 * GEOMETRY_4K.page_size - 2
    # No RAM; an allocated block of two chunks, the second in scratch; a chunk with own bytes.
    image.ram.write(RAM.begin, bytes([0x1F, 0x4D, 0xDF, 0x9F]).ljust(8, b"\0"))
    places = struct.pack("<4Q", 7, RAM.end, 1 << 60, RAM.begin + 0x5000)
    image.ram.write(RAM.begin + 8, places)
    image.ram.write(RAM.begin + 0x5000, bytes([0x25]) + bytes([0x3F]) * (GEOMETRY_4K.page_size - 1))
    table = read_frame_table(
        image.memory, RAM.begin, first, 2 * GEOMETRY_4K.page_size + 5, GEOMETRY_4K
    )
    begins = [
        first,
        first + 2,
        first + 3,
        first + 2 + GEOMETRY_4K.page_size,
        first + 2 + 2 * GEOMETRY_4K.page_size,
    ]
    frames = np.array([*begins, begins[-1] + 1], dtype=np.int64)
    assert table.states(frames).tolist() == [0x1F, 0x4D, 0x5F, 0xDF, 0x25, 0x3F]
    allocated = table.frames_in(FrameState.ALLOCATED)
    assert (allocated[0], len(allocated)) == (first + 2, 2 * GEOMETRY_4K.page_size)
    assert len(table.frames_in(FrameState.FREE)) == 3
    assert len(table.every()) == 2 * GEOMETRY_4K.page_size + 5


def test_frame_table_outside_ram() -> None:
    image = HandoverImage()
    assert (
        cause(lambda: read_frame_table(image.memory, RAM.end - 4, 0, 5, GEOMETRY_4K))[0]
        == "outside-ram"
    )
