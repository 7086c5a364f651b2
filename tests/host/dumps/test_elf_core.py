# SPDX-License-Identifier: BSD-3-Clause
"""ELF cores with what their writers seldom have: many segments, segments that overlap or have no
address; and where memory in segments lies in the file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from khorig.mem.formats import Dump, open_dump
from khorig.mem.formats.flattened import Flattened
from khorig.mem.formats.segments import SegmentedMemory
from khorig.mem.formats.source import FileSource
from khorig.mem.guest_ram import RamRegion
from khorig.mem.memory import LeftOut, OutsideRam, PhysRange

_PAGE = 4096
_X86_64, _I386, _ARM64 = 62, 3, 183
_NOWHERE = (1 << 64) - 1


@dataclass(frozen=True)
class Load:
    address: int
    content: bytes
    memory: int = 0  # bytes in memory, where the file has fewer


def core(
    loads: list[Load], machine: int = _X86_64, notes: bytes = b"", many: bool = False
) -> bytes:
    """`many` counts the segments where cores with 65,535 of them or more do."""
    count = len(loads) + 1
    at = 64 + 56 * count + 64
    body, table = b"", struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 4)
    body += notes
    for load in loads:
        size = len(load.content)
        table += struct.pack(
            "<IIQQQQQQ", 1, 7, at + len(body), 0, load.address, size, load.memory or size, 0
        )
        body += load.content
    section = 64 + len(table) if many else 0
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, section, 0, 64, 56,
        0xFFFF if many else count, 64, 0, 0,
    )  # fmt: skip
    return head + table + struct.pack("<44xI16x", count) + body


def opened(tmp_path: Path, content: bytes) -> Dump:
    path = tmp_path / "core"
    path.write_bytes(content)
    return open_dump(path)


A, B = b"a" * _PAGE, b"b" * _PAGE


def test_a_segment_without_an_address_is_no_memory(tmp_path: Path) -> None:
    with opened(tmp_path, core([Load(_NOWHERE, A), Load(_PAGE, B)])) as dump:
        assert dump.memory.ranges == (PhysRange(_PAGE, _PAGE),)
        assert bytes(dump.memory.view(_PAGE, _PAGE)) == B


@pytest.mark.parametrize(
    "machine, arch", [(_X86_64, "x86_64"), (_I386, "x86_64"), (_ARM64, "arm64")]
)
def test_machines(tmp_path: Path, machine: int, arch: str) -> None:
    with opened(tmp_path, core([Load(0, A)], machine)) as dump:
        assert dump.arch == arch


def test_the_number_of_many_segments_is_elsewhere(tmp_path: Path) -> None:
    loads = [Load(2 * number * _PAGE, bytes([number]) * _PAGE) for number in range(5)]
    with opened(tmp_path, core(loads, many=True)) as dump:
        assert len(dump.memory.ranges) == 5
        assert bytes(dump.memory.view(8 * _PAGE, 1)) == b"\4"


@pytest.mark.parametrize("size, shift", [(4096, 12), (16384, 14), (65536, 16), (512, None)])
def test_the_page_size_of_arm64_is_in_vmcoreinfo(
    tmp_path: Path, size: int, shift: int | None
) -> None:
    info = f"PAGESIZE={size}\n".encode()
    note = struct.pack("<III", 11, len(info), 0) + b"VMCOREINFO\0\0" + info
    with opened(tmp_path, core([Load(0, A)], _ARM64, note)) as dump:
        assert dump.page_shift == shift
    with opened(tmp_path, core([Load(0, A)], _ARM64)) as dump:
        assert dump.page_shift is None


def test_of_segments_that_overlap_the_first_by_address_has_a_byte(tmp_path: Path) -> None:
    content = struct.pack(">2048H", *range(2048))
    loads = [Load(3 * _PAGE // 2, content), Load(_PAGE, A), Load(_PAGE + 16, b"inside")]
    with opened(tmp_path, core(loads)) as dump:
        assert dump.memory.ranges == (PhysRange(_PAGE, _PAGE + _PAGE // 2),)
        assert bytes(dump.memory.view(_PAGE, _PAGE)) == A
        assert bytes(dump.memory.view(2 * _PAGE - 1, 4)) == b"a\4\0\4"


def test_memory_that_the_file_has_a_part_of(tmp_path: Path) -> None:
    loads = [Load(0, A, 3 * _PAGE), Load(2 * _PAGE, B), Load(8 * _PAGE, b"", _PAGE)]
    with opened(tmp_path, core(loads)) as dump:
        assert dump.memory.ranges == (PhysRange(0, 3 * _PAGE), PhysRange(8 * _PAGE, _PAGE))
        assert bytes(dump.memory.view(2 * _PAGE, 2)) == b"bb"
        for address, size in ((_PAGE, 1), (_PAGE - 1, 2), (2 * _PAGE - 1, 2), (8 * _PAGE, 1)):
            with pytest.raises(LeftOut):
                dump.memory.view(address, size)
        with pytest.raises(OutsideRam) as caught:
            dump.memory.view(3 * _PAGE - 1, 2)
        assert caught.value.problem.id == "outside-ram"


def _source(tmp_path: Path, content: bytes) -> FileSource:
    path = tmp_path / "source"
    path.write_bytes(content)
    return FileSource(path)


@pytest.mark.parametrize("region", [(0, 17, 0), (0, 8, 9), (0, 1, -1), (-1, 1, 0), (1 << 52, 1, 0)])
def test_regions_that_cannot_be(tmp_path: Path, region: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError):
        SegmentedMemory(_source(tmp_path, b"x" * 16), [RamRegion(*region)])


def test_the_rest_of_a_piece_that_another_cuts(tmp_path: Path) -> None:
    first = bytes(range(100))
    pieces = [(0, first), (40, b"later"), (42, b"*")]
    raw = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    for offset, content in pieces:
        raw += struct.pack(">qq", offset, len(content)) + content
    source = Flattened(_source(tmp_path, raw + struct.pack(">qq", -1, -1)))
    assert bytes(source.view(0, 100)) == first[:40] + b"la*er" + first[45:]
    assert bytes(source.view(45, 10)) == first[45:55]
