# SPDX-License-Identifier: BSD-3-Clause
"""Rules over one stop, on memory that is made for them."""

from __future__ import annotations

import numpy as np
import pytest
from dumps.sample import Sample
from verdict.fake_guest import FREE, FakeGuest, block_of, sealed_guest, stop_of
from view.frame_table_writer import write_frame_table
from view.handover_image import MIB, PAGE, RAM, SCRATCH, HandoverImage

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.kho.blocks import Blocks
from khorig.kho.frame_table import CHUNK_HAS_BYTES, FrameTable
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange, RamMemory
from khorig.rules.frames import odd_frames
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.ram import check_ram
from khorig.rules.temporal import definitions as temporal
from khorig.rules.temporal.page_hashes import hash_pages
from khorig.rules.temporal.pages import Before, compare_pages
from khorig.run.judge import RunJudge

# ---- the page allocator


def free_frames(first: int, count: int) -> FrameTable:
    """A table, in one chunk with bytes of its own, of frames that are all free."""
    row = np.zeros((1, GEOMETRY_4K.page_size), dtype=np.uint8)
    row[0, first : first + count] = 0x20
    chunks = np.array([CHUNK_HAS_BYTES], dtype=np.uint8)
    return FrameTable(first, count, chunks, np.zeros(1, dtype=np.int64), row)


@pytest.mark.parametrize(
    "first, last, pages",
    [(0, 4096, 64), (0, 100, 0), (100, 101, 1), (150, 300, 14), (164, 200, 0), (120, 130, 10)],
)
def test_ram_is_counted_by_chunks_and_by_frames(first: int, last: int, pages: int) -> None:
    assert free_frames(100, 64).ram_pages(first, last) == pages
    uniform = FrameTable(
        0, 3 * GEOMETRY_4K.page_size, np.array([0x20, 0x00, 0x40], dtype=np.uint8),
        np.zeros(3, dtype=np.int64), np.empty((0, GEOMETRY_4K.page_size), dtype=np.uint8),
    )  # fmt: skip
    assert uniform.ram_pages(10, 3 * GEOMETRY_4K.page_size - 5) == 2 * GEOMETRY_4K.page_size - 15
    assert uniform.ram_pages(GEOMETRY_4K.page_size, 2 * GEOMETRY_4K.page_size) == 0


def test_the_lowest_pages_that_are_wrong_are_named() -> None:
    table = free_frames(100, 64)
    blocks = Blocks.of([(132, 2), (120, 0), (110, 1)])
    found = odd_frames(table, blocks, most=4)
    assert [(odd.frame, odd.block, odd.order) for odd in found] == [
        (110, 2, 1), (111, 2, 1), (120, 1, 0), (132, 0, 2),
    ]  # fmt: skip
    assert str(found[1]) == (
        "order 1: free head of order 0 (0x20) in the frame table, " "expected allocated tail (0x5f)"
    )


# ---- RAM that is used

TWO_AREAS = (PhysRange(RAM.begin, 16 * MIB), PhysRange(RAM.begin + 64 * MIB, 16 * MIB))


@pytest.mark.parametrize(
    "unused, boot, wrong",
    [
        ((0, 0), "direct", False),
        ((2 * MIB, 0), "direct", False),
        ((2 * MIB, PAGE), "direct", True),
        ((PAGE, 2 * MIB), "direct", True),
        ((MIB, MIB), "direct", False),
        ((8 * MIB, 8 * MIB), "direct", True),
        ((8 * MIB, 8 * MIB), "uefi", False),
    ],
)
def test_ram_of_several_areas(unused: tuple[int, int], boot: str, wrong: bool) -> None:
    image = HandoverImage(ram=TWO_AREAS, scratch=())
    table = np.zeros(80 * MIB // PAGE, dtype=np.uint8)
    for area, bytes_unused in zip(TWO_AREAS, unused):
        first = (area.begin - RAM.begin) // PAGE
        table[first : first + (area.size - bytes_unused) // PAGE] = FREE
    write_frame_table(image.ram, RAM.begin, table.tobytes())
    facts = GuestFacts()
    frames = {"table": hex(RAM.begin), "first": RAM.begin // PAGE, "count": len(table)}
    facts.take(GuestEvent("memory", 1, 0, 0.0, {"frames": frames, "scratch": []}))
    spec = KhorigRun("x86_64", "q35", boot=boot)
    found = check_ram(stop_of(image.memory, spec, facts=facts))
    assert [finding.rule for finding in found] == ([protocol.RAM_USED] if wrong else [])
    if wrong:
        named = [line for line in found[0].evidence if "KiB of" in line]
        assert len(named) == sum(size > 0 for size in unused)


# ---- segments


def test_a_segment_that_overlaps_one_that_is_not_its_neighbour() -> None:
    guest = sealed_guest()
    begin = SCRATCH[0].begin
    guest.segments += [["b", hex(begin + MIB), hex(PAGE)], ["c", hex(begin + PAGE), hex(PAGE)]]
    (finding,) = guest.first_generation()
    assert finding.rule == protocol.SEGMENTS and "'kernel'" in finding.what


def test_a_segment_behind_a_preserved_block_overwrites_nothing_of_it() -> None:
    guest = sealed_guest()
    preserved = {at // PAGE + n for at, order in guest.image.blocks for n in range(1 << order)}
    behind = max(preserved) + 1
    guest.segments.append(["late", hex(behind * PAGE), hex(PAGE)])
    (finding,) = guest.first_generation()
    assert "overwrite" not in finding.what and finding.owner == ""


def test_a_segment_that_reaches_out_of_scratch() -> None:
    guest = sealed_guest()
    guest.segments.append(["late", hex(SCRATCH[0].end - PAGE), hex(2 * PAGE)])
    (finding,) = guest.first_generation()
    assert finding.rule == protocol.SEGMENTS and "'late'" in finding.what


def test_the_lowest_page_that_changed_is_named() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    block = block_of(guest, 4)
    for page in (3, 9, 12):
        guest.image.ram.write(block + page * PAGE, b"1234")
    (finding,) = guest.enters()
    assert finding.where == f"{block + 3 * PAGE:#018x}"
    assert any(f"{block + 12 * PAGE:#018x}" in line for line in finding.evidence)


# ---- memory that somebody still writes to


class Restless(RamMemory):
    """Memory in which a device counts."""

    def __init__(self, ram: GuestRam, page: int) -> None:
        super().__init__(ram)
        self.page, self.looks = page, 0

    def view(self, address: int, size: int) -> memoryview:
        if PhysRange(address, size).contains(self.page, 1):
            self.looks += 1
            content = bytearray(super().view(address, size))
            content[self.page - address] ^= self.looks == 2
            return memoryview(content)
        return super().view(address, size)


def test_memory_that_changes_while_it_is_looked_at() -> None:
    guest = sealed_guest()
    page = guest.image.preserved_page()
    memory = Restless(guest.image.ram, page)
    before = hash_pages(memory, np.array([page // PAGE], dtype=np.int64), GEOMETRY_4K)
    earlier = Before(1, "sealed", before, Sample().finish().snapshot())
    stop = stop_of(memory, KhorigRun("x86_64", "q35"), 2, "entry")
    (finding,) = compare_pages(stop, earlier, temporal.PAGES_ACROSS_JUMP)
    assert finding.what == "preserved memory is being written while the guest is stopped"


# ---- the ledger


def test_only_structure_may_be_written_after_the_ledger() -> None:
    for order, owner in ((3, "khorig/archive"), (1, "khorig/log")):
        guest = FakeGuest()
        guest.left_out.add(next(at for at, o in guest.image.blocks if o == order))
        guest.seal()
        (finding,) = guest.first_generation()
        assert finding.rule == protocol.LEDGER and finding.owner.startswith(owner)


# ---- from generation to generation


@pytest.mark.parametrize("order, stays", [(3, True), (4, True), (1, False), (2, False)])
def test_what_is_handed_on_from_generation_to_generation(order: int, stays: bool) -> None:
    """Archive and reserved memory stay as they are; log and stores are written anew."""
    guest = FakeGuest()
    guest.spec = KhorigRun("x86_64", "q35", generations=3)
    guest.judge = RunJudge(guest.spec)
    guest.seal()
    assert guest.first_generation() == guest.enters() == guest.restores() == []
    page = block_of(guest, order) + 100
    guest.image.ram.write(page, bytes([guest.image.ram.read(page, 1)[0] ^ 1]))
    guest.says("segments", 2, list=guest.segments, entry=guest.entry())
    rules = {finding.rule for finding in guest.stops("sealed", 2, **guest.stop_fields)}
    assert (temporal.PAGES_HANDED_ON in rules) is stays
