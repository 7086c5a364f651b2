# SPDX-License-Identifier: BSD-3-Clause
"""The log of a Linux that did not reach its console, from its memory."""

from __future__ import annotations

import struct

import pytest

from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.kernel_log import find_kernel_log, lines_that_matter

LINES = [
    "Linux version 7.3.4 (root@vm) #1 SMP",
    "Command line: console=ttyS0",
    "BUG: unable to handle page fault for address: ff1100003d800000",
    "RIP: 0010:page_init_poison+0xe/0x11",
]


def ring(lines: list[str]) -> bytes:
    data = b""
    for number, line in enumerate(lines):
        block = struct.pack("<Q", 0x3FFF_FFFF_FFFF_8000 + number) + line.encode() + b"\n\0"
        data += block.ljust(-(-len(block) // 8) * 8, b"\0")
    return data


def memory(at: int, data: bytes) -> GuestRam:
    buffer = bytearray(1 << 17)
    buffer[0x1000:0x1030] = b"Linux version 7.3.4 (root@vm) #1 SMP\n\0".ljust(
        0x30, b"\0"
    )  # constant
    buffer[at : at + len(data)] = data
    return GuestRam(memoryview(buffer), [RamRegion(0, len(buffer), 0)])


def test_the_ring_is_read_and_not_the_constant_in_the_image() -> None:
    assert find_kernel_log(memory(0x4000, ring(LINES)), 0x1000) == LINES


@pytest.mark.parametrize("data", [b"", b"\xff" * 4096, b"?Linux version 7", ring(["x" * 40])])
def test_memory_without_a_log_has_none(data: bytes) -> None:
    assert find_kernel_log(memory(0x4000, data), 0x1000) == []


def test_a_log_at_the_end_of_memory_ends_there() -> None:
    data = ring(LINES)
    assert find_kernel_log(memory((1 << 17) - len(data), data), 0) == LINES


def test_the_first_bad_line_and_the_last_ones_matter() -> None:
    log = [*(f"boot {n}" for n in range(9)), *LINES[2:], "Code: 1", *(f"end {n}" for n in range(9))]
    assert lines_that_matter(log, 5) == [*LINES[2:], "Code: 1", "end 7", "end 8"]
    assert lines_that_matter(["a", "b", "c"], 2) == ["b", "c"]
    assert lines_that_matter(["a", "Oops: b"], 5) == ["Oops: b"]
    assert lines_that_matter([], 5) == []
