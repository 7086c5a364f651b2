# SPDX-License-Identifier: BSD-3-Clause
"""Runs of bytes that differ, and how they are shown."""

from __future__ import annotations

import pytest

from khorig.mem.byte_runs import byte_runs, describe, hexdump
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import PhysRange, RamMemory

_PAGE = 4096
_BASE = 0x10000


class Memory(RamMemory):
    """Four pages of zeros, as a dump."""

    def __init__(self) -> None:
        self.ram = GuestRam(memoryview(bytearray(4 * _PAGE)), [RamRegion(_BASE, 4 * _PAGE, 0)])
        super().__init__(self.ram)

    def data(self) -> tuple[PhysRange, ...]:
        return tuple(self.ranges)

    def left_out(self) -> tuple[PhysRange, ...]:
        return ()

    def forget(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


def changed(places: list[int]) -> tuple[Memory, Memory]:
    a, b = Memory(), Memory()
    for place in places:
        b.ram.write(_BASE + place, b"x")
    return a, b


@pytest.mark.parametrize(
    "places, runs",
    [
        ([], []),
        ([0], [(0, 1, 1)]),
        ([10, 19], [(10, 10, 2)]),  # eight equal bytes between them
        ([10, 20], [(10, 1, 1), (20, 1, 1)]),  # nine
        ([_PAGE - 1, _PAGE], [(_PAGE - 1, 2, 2)]),
        ([_PAGE - 5, _PAGE + 4], [(_PAGE - 5, 10, 2)]),
        ([_PAGE - 5, _PAGE + 5], [(_PAGE - 5, 1, 1), (_PAGE + 5, 1, 1)]),
        ([_PAGE - 1, 2 * _PAGE], [(_PAGE - 1, 1, 1), (2 * _PAGE, 1, 1)]),
        ([4 * _PAGE - 1], [(4 * _PAGE - 1, 1, 1)]),
    ],
)
def test_runs(places: list[int], runs: list[tuple[int, int, int]]) -> None:
    a, b = changed(places)
    frames = range(_BASE // _PAGE, _BASE // _PAGE + 4)
    found = [(r.area.begin - _BASE, r.area.size, r.changed) for r in byte_runs(a, b, frames, 12)]
    assert found == runs


def test_a_hexdump_shows_what_differs_up_to_the_last_line() -> None:
    a, b = changed([14, 17, 40])
    a.ram.write(_BASE + 13, b"A")
    b.ram.write(_BASE + 13, b"A")
    [run] = byte_runs(*changed([14, 23, 32, 40]), [_BASE // _PAGE], 12)
    same, other = "00 " * 7 + "00", ".. " * 7 + ".."
    assert hexdump(a, b, run, 8) == [
        f"0x0000000000010000  a  {same}  00 00 00 00 00 41 00 00  |.............A..|",
        f"{'':18}  b  {other}  .. .. .. .. .. .. 78 ..  |.............Ax.|",
        f"0x0000000000010010  a  {same}  {same}  |................|",
        f"{'':18}  b  .. 78 .. .. .. .. .. ..  {other}  |.x..............|",
        f"0x0000000000010020  a  {same}  {same}  |................|",
        f"{'':18}  b  {other}  78 .. .. .. .. .. .. ..  |........x.......|",
    ]
    assert len(hexdump(a, b, run, 1)) == 2


def test_a_run_of_one_byte_is_described() -> None:
    a, b = changed(list(range(100, 200)))
    [run] = byte_runs(a, b, [_BASE // _PAGE], 12)
    assert (describe(a, run), describe(b, run)) == ("all 0x00", "all 0x78")
    b.ram.write(_BASE + 150, b"y")
    assert describe(b, run) == ""
