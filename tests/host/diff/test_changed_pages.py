# SPDX-License-Identifier: BSD-3-Clause
"""The fast comparison finds what a slow one finds."""

from __future__ import annotations

import random
from typing import Sequence

from khorig.mem.changed_pages import difference, find_changed, intersection, union
from khorig.mem.memory import OutsideRam, PhysRange

_PAGE = 4096


class _Memory:
    """Memory with holes, with parts that have no bytes, and with pages that cannot be read."""

    def __init__(self, ranges: Sequence[PhysRange], bad: Sequence[int] = ()) -> None:
        self.ranges = ranges
        self.content = {r.begin: bytearray(r.size) for r in ranges}
        self.bad = set(bad)
        self.written: list[PhysRange] = []
        self.forgotten = 0

    def write(self, at: int, data: bytes) -> None:
        r = next(r for r in self.ranges if r.contains(at, len(data)))
        self.content[r.begin][at - r.begin : at - r.begin + len(data)] = data
        self.written.append(PhysRange(at, len(data)))

    def data(self) -> Sequence[PhysRange]:
        return union(self.written, [])

    def view(self, address: int, size: int) -> memoryview:
        r = next((r for r in self.ranges if r.contains(address, size)), None)
        if r is None or any(address <= page < address + size for page in self.bad):
            raise OutsideRam(address, size)
        return memoryview(self.content[r.begin])[address - r.begin : address - r.begin + size]

    def left_out(self) -> Sequence[PhysRange]:
        return ()

    def forget(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        pass


def _slow(a: _Memory, b: _Memory) -> list[int]:
    found = []
    for r in intersection(a.ranges, b.ranges):
        for at in range(r.begin, r.end, _PAGE):
            size = min(_PAGE, r.end - at)
            if a.view(at, size) != b.view(at, size):
                found.append(at // _PAGE)
    return found


def test_random_memories() -> None:
    chance = random.Random(7)
    for _ in range(60):
        starts = sorted(chance.sample(range(0, 4096, 256), 4))
        layout = [PhysRange(s * _PAGE, chance.randrange(1, 200) * _PAGE + chance.choice([0, 100]))
                  for s in starts]  # fmt: skip
        a, b = _Memory(layout), _Memory(layout[: chance.randrange(1, 5)])
        for memory in (a, b):
            for _ in range(20):
                r = chance.choice(memory.ranges)
                at = r.begin + chance.randrange(r.size)
                data = bytes([chance.choice([0, 1, 2])]) * min(chance.choice([1, 9000]), r.end - at)
                memory.write(at, data)
        found = find_changed(a, b, _PAGE)
        assert found.frames.tolist() == _slow(a, b)
        assert list(found.only_a) == [r for r in a.ranges if r not in b.ranges]
        assert found.only_b == ()


def test_what_has_no_bytes_is_not_looked_at() -> None:
    everything = [PhysRange(0, 1 << 20), PhysRange(1 << 40, 1 << 20)]
    a, b = _Memory(everything), _Memory(everything)
    b.write((1 << 40) + 5000, b"x")
    found = find_changed(a, b, _PAGE)
    assert found.frames.tolist() == [(1 << 28) + 1]
    assert found.compared == _PAGE


def test_a_page_that_cannot_be_read_does_not_hide_its_neighbours() -> None:
    layout = [PhysRange(0, 64 * _PAGE)]
    a, b = _Memory(layout), _Memory(layout, bad=[7 * _PAGE, 8 * _PAGE])
    a.write(0, bytes(64 * _PAGE))
    b.write(6 * _PAGE, b"x")
    b.write(9 * _PAGE, b"x")
    found = find_changed(a, b, _PAGE)
    assert found.frames.tolist() == [6, 9]
    assert found.unreadable == (PhysRange(7 * _PAGE, 2 * _PAGE),)
    assert found.compared == 62 * _PAGE


def test_ram_that_only_one_has() -> None:
    a = _Memory([PhysRange(0, 8 * _PAGE)])
    b = _Memory([PhysRange(4 * _PAGE, 12 * _PAGE), PhysRange(1 << 30, _PAGE)])
    for memory in (a, b):
        memory.write(5 * _PAGE + 9, b"same")
    b.write(7 * _PAGE, b"other")
    found = find_changed(a, b, _PAGE)
    assert found.frames.tolist() == [7]
    assert found.only_a == (PhysRange(0, 4 * _PAGE),)
    assert found.only_b == (PhysRange(8 * _PAGE, 8 * _PAGE), PhysRange(1 << 30, _PAGE))


def test_sets_of_ranges() -> None:
    left, right = [PhysRange(0, 10), PhysRange(20, 10)], [PhysRange(5, 20)]
    assert intersection(left, right) == [PhysRange(5, 5), PhysRange(20, 5)]
    assert union(left, right) == [PhysRange(0, 30)]
    assert difference(left, intersection(left, right)) == [PhysRange(0, 5), PhysRange(25, 5)]
