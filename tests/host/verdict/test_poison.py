# SPDX-License-Identifier: BSD-3-Clause
"""Pages that a Linux took out of use, by its own struct pages."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from verdict.fake_guest import stop_of

from khorig.guest.chain_run import ChainRun
from khorig.guest.facts import GuestFacts, Segment, Segments
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import OutsideRam, PhysRange, RamMemory
from khorig.mem.struct_pages import find_struct_pages
from khorig.mem.vmcoreinfo import note_of
from khorig.rules.temporal.poison import Poison

SIZE = 4 << 20
FRAMES = SIZE >> 12
ARRAY = 0x100000
TABLES = 0x1000
INFO = {
    "PAGESIZE": "4096",
    "SIZE(page)": "64",
    "OFFSET(page.flags)": "8",
    "NUMBER(PG_hwpoison)": "20",
}
X86_64 = {
    "KERNELOFFSET": "0",
    "NUMBER(pgtable_l5_enabled)": "0",
    "SYMBOL(init_top_pgt)": "ffffffff80002000",
    "NUMBER(phys_base)": "-4096",
}
ARM64 = {
    "NUMBER(TCR_EL1_T1SZ)": "0x10",
    "SYMBOL(swapper_pg_dir)": "ffff800080001000",
    "NUMBER(kimage_voffset)": "0xffff800080000000",
    "NUMBER(VMEMMAP_START)": "0xfffffdffc0000000",
    "NUMBER(PHYS_OFFSET)": "0x0",
}
FIELDS = {"x86_64": X86_64, "arm64": ARM64}
START = {"x86_64": 0xFFFFEA0000000000, "arm64": 0xFFFFFDFFC0000000}


def info(arch: str, **changed: str) -> bytes:
    fields = {**INFO, **FIELDS[arch], **changed}
    return "\n".join(f"{name}={value}" for name, value in fields.items()).encode()


class Machine:
    """A Linux of 4 MiB, the struct pages of which lie in pages of 4 KiB."""

    def __init__(self, arch: str = "x86_64") -> None:
        self.arch = arch
        self.ram = GuestRam(memoryview(bytearray(SIZE)), [RamRegion(0, SIZE, 0)])
        self.memory = RamMemory(self.ram)
        for level in (4, 3, 2):
            self.entry(level, TABLES + (5 - level) * 0x1000)
        for page in range(FRAMES * 64 >> 12):
            self.entry(1, ARRAY + page * 0x1000, page)

    def entry(self, level: int, leads_to: int, page: int = 0) -> None:
        index = START[self.arch] >> (12 + 9 * (level - 1)) & 511
        at = TABLES + (4 - level) * 0x1000 + 8 * (index + page)
        self.ram.write(at, struct.pack("<Q", leads_to | 0x403))

    def poison(self, frame: int) -> None:
        self.ram.write(ARRAY + frame * 64 + 8, struct.pack("<Q", 1 << 20 | 0x55))

    def frames(self, **changed: str) -> list[int]:
        found = find_struct_pages(self.memory, info(self.arch, **changed), self.arch)
        assert found is not None
        return [int(frame) for frame in found.poisoned_frames(self.memory)]


@pytest.mark.parametrize("arch", sorted(FIELDS))
def test_bad_frames_are_found(arch: str) -> None:
    machine = Machine(arch)
    assert machine.frames() == []
    for frame in (0, 77, FRAMES - 1):
        machine.poison(frame)
    assert machine.frames() == [0, 77, FRAMES - 1]


def test_what_is_not_mapped_has_no_frames() -> None:
    machine = Machine()
    machine.poison(77)
    machine.entry(1, 0, 77 * 64 >> 12)
    machine.ram.write(TABLES + 3 * 0x1000 + 8 * (77 * 64 >> 12), bytes(8))
    assert machine.frames() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"KERNELOFFSET": "1000000"},
        {"SIZE(page)": "0"},
        {"SIZE(page)": "4096"},
        {"OFFSET(page.flags)": "60"},
        {"NUMBER(PG_hwpoison)": "64"},
        {"PAGESIZE": "x"},
    ],
)
def test_a_description_that_does_not_tell(changed: dict[str, str]) -> None:
    assert find_struct_pages(Machine().memory, info("x86_64", **changed), "x86_64") is None


def test_no_description() -> None:
    for content in (b"", b"\xff\xfe=\n==\n"):
        assert find_struct_pages(Machine().memory, content, "x86_64") is None


def test_tables_that_lead_out_of_ram() -> None:
    machine = Machine()
    machine.entry(3, SIZE)
    with pytest.raises(OutsideRam):
        machine.frames()


class Chain(Machine):
    """A Linux and kernels behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.ram.write(0x200000, note_of(info("x86_64")))
        self.rule = Poison()
        self.spec = ChainRun("x86_64", "q35", kernels=("linux-7.3", "khorig", "linux-7.3"))

    def check(self, generation: int, at: str, *segments: Segment) -> list[str]:
        facts = GuestFacts(segments=Segments(segments, 0)) if segments else GuestFacts()
        stop = stop_of(self.memory, self.spec, generation, at, facts)
        stop = dataclasses.replace(stop, machine=dataclasses.replace(stop.machine, arch="x86_64"))
        return [finding.what for finding in self.rule.check(stop, None)]


def test_a_segment_of_a_later_kernel() -> None:
    chain = Chain()
    chain.poison(77)
    assert chain.check(1, "sealed") == []
    chain.ram.write(ARRAY, bytes(FRAMES * 64))  # the next kernel knows nothing of it
    around = Segment("kernel", PhysRange(0x40000, 0x10000))
    beside = Segment("initrd", PhysRange(0x4E000, 0x1000))
    assert chain.check(2, "sealed", around, beside) == [
        "page 0x000000000004d000 was reported bad by generation 1 and is the destination of the "
        "segment kernel"
    ]
    assert chain.check(2, "sealed", around) == []  # said once


def test_what_khorig_leaves_is_not_read() -> None:
    chain = Chain()
    chain.poison(77)
    chain.check(2, "sealed")
    assert chain.check(2, "sealed", Segment("kernel", PhysRange(0x40000, 0x10000))) == []


def test_a_linux_that_cannot_be_read_is_passed_over() -> None:
    chain = Chain()
    chain.poison(77)
    chain.entry(3, SIZE)
    assert chain.check(1, "sealed") == []
