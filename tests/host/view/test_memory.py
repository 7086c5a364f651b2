# SPDX-License-Identifier: BSD-3-Clause
"""Physical memory with holes, and ranges."""

from __future__ import annotations

import pytest

from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import OutsideRam, PhysRange, RamMemory, range_at, read_bytes


def memory(*regions: tuple[int, int]) -> RamMemory:
    """Regions of (address, size), each byte its region's number, in reversed file order."""
    total = sum(size for _, size in regions)
    buffer = bytearray(total)
    placed, offset = [], total
    for number, (address, size) in enumerate(regions):
        offset -= size
        buffer[offset : offset + size] = bytes([number]) * size
        placed.append(RamRegion(address, size, offset))
    return RamMemory(GuestRam(memoryview(buffer), placed))


def test_regions_that_touch_are_one_range() -> None:
    m = memory((0x1000, 0x1000), (0x2000, 0x1000), (1 << 32, 0x1000))
    assert m.ranges == (PhysRange(0x1000, 0x2000), PhysRange(1 << 32, 0x1000))
    assert read_bytes(m, 0x1FFE, 4) == b"\0\0\1\1"
    assert read_bytes(m, 1 << 32, 2) == b"\2\2"


def test_the_range_that_an_address_is_in() -> None:
    first, second = PhysRange(0x1000, 0x1000), PhysRange(0x3000, 0x1000)
    for address, found in ((0x1000, first), (0x2FFF, first), (0x3000, second), (1 << 40, second)):
        assert range_at([first, second], address) == found
    assert not range_at([first, second], 0xFFF).contains(0xFFF, 1)


def test_giving_up_is_the_last_problem() -> None:
    for before in (0, 3, 64, 100):
        problems = Problems("node")
        for number in range(before):
            problems.add("unaligned", number, "x")
        problems.give_up("radix-size", 7, "too many")
        problems.add("unaligned", 8, "x")
        assert problems.full
        assert [p.id for p in problems.items] == ["unaligned"] * min(before, 63) + ["radix-size"]


def test_a_problem_keeps_its_subject() -> None:
    problems = Problems("node")
    problems.keep(Problem("unaligned", 0, "x", "link"))
    problems.add("unaligned", 0, "x")
    assert [p.subject for p in problems.items] == ["link", "node"]


def test_views_are_live() -> None:
    m = memory((0, 0x1000))
    with m.view(16, 4) as view:
        view[0] = 9
    assert read_bytes(m, 16, 1) == b"\x09"


@pytest.mark.parametrize(
    "address, size",
    [(0, 1), (0xFFF, 2), (0x1000, 0x1001), (0x1800, -1), (0x2000, 1), (1 << 64, 8),
     (0x1800, 1 << 64)],
)  # fmt: skip
def test_outside(address: int, size: int) -> None:
    with pytest.raises(OutsideRam) as caught:
        memory((0x1000, 0x1000)).view(address, size)
    assert isinstance(caught.value, DecodeError)
    assert (caught.value.problem.id, caught.value.problem.address) == ("outside-ram", address)


def test_ranges() -> None:
    area = PhysRange(0x1000, 0x1000)
    assert area.contains(0x1000, 0x1000) and not area.contains(0x1000, 0x1001)
    assert area.overlaps(0x1FFF, 1) and not area.overlaps(0x2000, 1)
    assert area.overlaps(0, 1 << 64) and not area.overlaps(0, 0x1000)
    assert not area.overlaps(0x1800, 0) and not PhysRange(0x1800, 0).overlaps(0x1000, 0x1000)
    assert str(area) == "[0x0000000000001000, 0x0000000000002000)"
