# SPDX-License-Identifier: BSD-3-Clause
"""What the host looks at in a crash kernel: memory of the kernel that died, and the ELF headers."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from dumps.sample import Sample
from hypothesis import given
from hypothesis import strategies as st
from verdict.fake_chain import LINUX, FakeChain
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.mem.memory import PhysRange, RamMemory
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.crash_headers import DamagedHeaders, read_headers, without
from khorig.rules.temporal import definitions as temporal
from khorig.rules.temporal.crash_memory import own_memory
from khorig.run.crash_judge import CrashJudge

_OWN = PhysRange(SCRATCH[0].begin, SCRATCH[0].size)  # memory of the crash kernel
_HEADERS = _OWN.begin + 0x3000
_NOTE = RAM.end - 2 * PAGE
_LOAD, _NOTES = 1, 4


def elf(parts: list[tuple[int, PhysRange]], **fields: int) -> bytes:
    """ELF headers with program headers (type, where)."""
    values = {"type": 4, "machine": 62, "entry": 56, "count": len(parts), **fields}
    header = struct.pack(
        "<4s4B8xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 0, values["type"], values["machine"], 1),
        *(0, 64, 0, 0, 64, values["entry"], values["count"], 0, 0, 0),
    )
    table = [
        struct.pack("<IIQQQQQQ", kind, 0, 0, 0, area.begin, area.size, area.size, 0)
        for kind, area in parts
    ]
    return header + b"".join(table)


def good_parts() -> list[tuple[int, PhysRange]]:
    rest = without([RAM], [_OWN])
    return [(_NOTES, PhysRange(_NOTE, 0x100)), *((_LOAD, area) for area in rest)]


class CrashedChain(FakeChain):
    """Two Linuxes, the first of which panics."""

    def __init__(self, **spec: Any) -> None:
        super().__init__(LINUX, LINUX, sample=Sample(), crash=1, probed=True, **spec)
        self.judge = CrashJudge(self.spec)
        self.headers = elf(good_parts())

    def dies(self, ram: PhysRange = RAM) -> None:
        self.boots(1)
        assert self.restores(1) == set()
        self.says("system-ram", 1, start=hex(ram.begin), size=ram.size)
        self.says("crash-memory", 1, start=hex(_OWN.begin), size=_OWN.size)
        assert self.seals(1, is_jump=True) == set()
        self.image.ram.write(_HEADERS, self.headers)
        assert self.is_entered(2) == set()

    def looks(self, headers: int | None = _HEADERS) -> set[str]:
        self.says("boot", 2, parameters="0x1000", handover=False)
        own = [hex(_OWN.begin), hex(_OWN.size), "System RAM"]
        self.says("memory-map", 2, ranges=[own], last=True, limited=True)
        if headers is not None:
            self.says("vmcore", 2, headers=hex(headers))
        return self.stops("restored", 2)


def test_a_crash_kernel_that_keeps_to_its_memory() -> None:
    chain = CrashedChain()
    chain.dies()
    chain.flip(_OWN.begin + 7)
    assert chain.looks() == set(), chain.findings
    assert chain.judge.finish(33) == []
    (jump,) = chain.judge.statistics.jumps
    assert (jump.first, jump.last) == (1, 1) and jump.pages > 40


@pytest.mark.parametrize("address", [_OWN.begin - 1, _OWN.end, RAM.end - 1])
def test_a_page_of_the_dead_kernel_that_changes_is_named(address: int) -> None:
    chain = CrashedChain()
    chain.dies()
    chain.flip(address)
    assert chain.looks() == {temporal.CRASH_MEMORY}
    (finding,) = chain.findings
    assert finding.where == f"{address & -PAGE:#018x}" and "of the dead kernel" in finding.what


def test_what_it_had_prepared_to_hand_over_is_not_checked() -> None:
    """It dies before it serializes; by firmware other rules are due at the same stop."""
    for boot in ("direct", "uefi"):
        chain = CrashedChain(boot=boot)
        chain.boots(1)
        chain.stops("restored", 1)
        chain.seals(1, is_jump=True)
        assert chain.judge.statistics.preserved_pages == 0


def test_memory_of_firmware_is_not_the_dead_kernels() -> None:
    """Runtime services write to it."""
    chain = CrashedChain()
    chain.dies(PhysRange(RAM.begin, RAM.size - PAGE))
    chain.headers = elf(
        [*good_parts()[:-1], (_LOAD, PhysRange(_OWN.end, RAM.end - PAGE - _OWN.end))]
    )
    chain.image.ram.write(_HEADERS, chain.headers)
    chain.flip(RAM.end - 1)
    assert chain.looks() == set(), chain.findings


def test_the_owner_is_that_of_the_handover_that_was_prepared() -> None:
    chain = CrashedChain()
    chain.dies()
    snapshot = chain.judge._before.snapshot  # type: ignore[union-attr]
    assert snapshot is not None
    frame = int(snapshot.owners.frames[0])
    chain.flip(frame * PAGE)
    chain.looks()
    assert chain.findings[0].owner == snapshot.describe(frame) != ""


def test_without_the_probe_its_memory_is_not_claimed_to_be_compared() -> None:
    chain = CrashedChain()
    chain.boots(1)
    chain.restores(1)
    chain.says("crash-memory", 1, start=hex(_OWN.begin), size=_OWN.size)
    chain.seals(1)
    chain.image.ram.write(_HEADERS, chain.headers)
    chain.looks()
    missing = [f.what for f in chain.judge.finish(33)]
    assert any(temporal.CRASH_MEMORY in what for what in missing), missing


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"type": 2}, "ELF of type 2"),
        ({"machine": 183}, "for machine 183"),
        ({"entry": 32}, "program headers of 32 bytes"),
        ({"count": 60000}, "60000 program headers"),
        ({"count": 0}, "0 program headers"),
    ],
)
def test_headers_that_are_none_are_named(change: dict[str, int], what: str) -> None:
    chain = CrashedChain()
    chain.headers = elf(good_parts(), **change)
    chain.dies()
    assert chain.looks() == {protocol.CRASH_HEADERS}
    assert what in chain.findings[0].what


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        (good_parts()[1:], "no PT_NOTE"),
        ([*good_parts()[:-1]], "is in no PT_LOAD: the dump lacks"),
        ([*good_parts(), (_LOAD, PhysRange(_OWN.begin, PAGE))], "memory of the crash kernel"),
        ([*good_parts(), (_LOAD, PhysRange(RAM.end, PAGE))], "is not RAM"),
        ([*good_parts(), (_NOTES, PhysRange(RAM.end - 8, PAGE))], "PT_NOTE"),
    ],
)
def test_headers_that_do_not_describe_the_ram(
    parts: list[tuple[int, PhysRange]], what: str
) -> None:
    chain = CrashedChain()
    chain.headers = elf(parts)
    chain.dies()
    assert chain.looks() == {protocol.CRASH_HEADERS}
    assert what in chain.findings[0].what, chain.findings


def test_headers_with_memory_that_was_no_ram_of_the_dead_kernel() -> None:
    chain = CrashedChain()
    chain.dies(PhysRange(RAM.begin, RAM.size - PAGE))
    assert chain.looks() == {protocol.CRASH_HEADERS}
    assert chain.findings[0].where == f"{RAM.end - PAGE:#018x}"
    assert "no RAM of the dead kernel" in chain.findings[0].what


def test_headers_outside_ram_and_headers_that_nobody_reports() -> None:
    chain = CrashedChain()
    chain.dies()
    assert chain.looks(RAM.end + 0x1000) == {protocol.CRASH_HEADERS}
    chain = CrashedChain()
    chain.dies()
    assert chain.looks(None) == {protocol.CRASH_HEADERS}


def test_the_first_mib_is_a_crash_kernels_on_x86_64() -> None:
    assert own_memory((_OWN,), "x86_64") == (_OWN, PhysRange(0, 1 << 20))
    assert own_memory((_OWN,), "arm64") == (_OWN,)


@given(st.binary(max_size=400))
def test_any_bytes_are_headers_or_an_error(data: bytes) -> None:
    image = Sample().image
    image.ram.write(_HEADERS, data)
    for start in (b"", elf(good_parts())[:40]):
        image.ram.write(_HEADERS, start)
        try:
            read_headers(RamMemory(image.ram), _HEADERS, "x86_64")
        except DamagedHeaders:
            pass
