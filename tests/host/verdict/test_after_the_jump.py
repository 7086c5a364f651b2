# SPDX-License-Identifier: BSD-3-Clause
"""The judge at the stops of the next generation: one clean run is in test_judge.py, here one broken
for every rule."""

from __future__ import annotations

import struct
from typing import Callable

import pytest
from verdict.fake_guest import (
    ARRAY,
    FRAME_BYTES,
    KHO_DATA,
    PARAMETERS,
    TABLE,
    TAIL,
    FakeGuest,
    block_of,
    first,
    sealed_guest,
)
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.guest.machine import MachineFacts
from khorig.rules.finding import Finding
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal

# ---- entry


def entry_findings(change: Callable[[FakeGuest], None]) -> tuple[FakeGuest, list[Finding]]:
    guest = sealed_guest()
    assert guest.first_generation() == []
    change(guest)
    return guest, guest.enters()


def test_one_byte_of_a_preserved_page() -> None:
    guest = sealed_guest()
    page = block_of(guest, 4) + 2 * PAGE
    assert guest.first_generation() == []
    byte = guest.image.ram.read(page + 0x123, 1)[0]
    guest.image.ram.write(page + 0x123, bytes([byte ^ 1]))
    finding = first(guest.enters(), temporal.PAGES_ACROSS_JUMP, page, "memblock/mem0 page 2")
    assert finding.generation == 2 and finding.stop == "entry"


def test_bytes_of_a_fragment_are_shown() -> None:
    guest, findings = entry_findings(lambda g: g.image.write_u64(g.image.root + 0x800, 0xABCD))
    finding = first(findings, temporal.PAGES_ACROSS_JUMP, guest.image.root, "root")
    assert f"{guest.image.root + 0x800:#018x}: found 0x000000000000abcd" in finding.evidence[0]
    assert "found 0x000000000000abcd, expected 0x0000000000000000" in finding.evidence[0]


def test_other_pages_are_named() -> None:
    def change(guest: FakeGuest) -> None:
        for page in range(12):
            guest.image.ram.write(block_of(guest, 4) + page * PAGE, b"1234")

    _, findings = entry_findings(change)
    assert len(findings) == 1
    assert "11 more changed pages:" in findings[0].evidence
    assert any("memblock/mem0 page 6" in line for line in findings[0].evidence)


def test_tree_changed() -> None:
    guest, findings = entry_findings(lambda g: g.image.ram.write(g.image.nodes[-1] + 9, b"\1"))
    assert findings[0].rule == temporal.TRACKER_ACROSS_JUMP
    assert findings[0].where == f"{guest.image.nodes[-1]:#018x}"
    assert findings[0].owner.startswith("radix node of level 0")


@pytest.mark.parametrize(
    "address, data, text",
    [
        (KHO_DATA, struct.pack("<Q", RAM.begin + PAGE), "in the boot parameters, sealed"),
        (ARRAY + 8, struct.pack("<Q", 8 << 20), "scratch array has"),
        (KHO_DATA + 24, struct.pack("<Q", 16), "scratch array has"),
        (KHO_DATA + 24, struct.pack("<Q", 17), "scratch-length"),
        (KHO_DATA + 16, struct.pack("<Q", RAM.end), "outside-ram"),
        (PARAMETERS + 0x250, bytes(8), "have no handover"),
    ],
)
def test_handoff(address: int, data: bytes, text: str) -> None:
    _, findings = entry_findings(lambda g: g.image.ram.write(address, data))
    assert findings[0].rule == temporal.HANDOFF and text in findings[0].what


# ---- trouble between two stops


def trouble(guest: FakeGuest) -> list[Finding]:
    """What explains that something went wrong after `entry`."""
    return guest.judge.on_trouble(guest.image.ram, MachineFacts("x86_64", "q35", RAM.size))


@pytest.mark.parametrize(
    "place, rule, owner",
    [
        (
            lambda g: block_of(g, 4) + 3 * PAGE,
            temporal.PAGES_UNTIL_RESTORED,
            "memblock/mem0 page 3",
        ),
        (
            lambda g: g.image.nodes[0],
            temporal.TRACKER_ACROSS_JUMP,
            "radix node of level 5, prefix 0x0",
        ),
        (lambda g: KHO_DATA, temporal.HANDOFF, "hand-off"),
        (lambda g: ARRAY + 8, temporal.HANDOFF, "scratch array"),
    ],
)
def test_trouble_after_entry_is_explained_by_what_changed(
    place: Callable[[FakeGuest], int], rule: str, owner: str
) -> None:
    guest = sealed_guest()
    assert guest.first_generation() + guest.enters() == []
    at = place(guest)
    byte = guest.image.ram.read(at, 1)[0]
    guest.image.ram.write(at, bytes([byte ^ 1]))
    (finding,) = trouble(guest)
    assert (finding.rule, finding.owner) == (rule, owner)
    assert int(finding.where, 16) // PAGE == at // PAGE
    assert trouble(guest) == []  # once is enough


def test_trouble_before_entry_is_explained_by_what_changed_since_the_seal() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    assert trouble(guest) == []
    at = block_of(guest, 4) + 3 * PAGE
    guest.image.ram.write(at, bytes([guest.image.ram.read(at, 1)[0] ^ 1]))
    (finding,) = trouble(guest)
    assert (finding.rule, finding.owner) == (temporal.PAGES_ACROSS_JUMP, "memblock/mem0 page 3")
    assert int(finding.where, 16) == at


def test_trouble_elsewhere_is_not_explained_by_memory_that_may_change() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == trouble(guest) == []
    assert guest.enters() + guest.restores() == []
    guest.image.ram.write(block_of(guest, 4), b"its owner's again")
    assert trouble(guest) == []


# ---- restored


def restored_findings(change: Callable[[FakeGuest], None]) -> list[Finding]:
    guest = sealed_guest()
    assert guest.first_generation() + guest.enters() == []
    change(guest)
    return guest.restores()


def test_tail_that_was_not_restored() -> None:
    guest = sealed_guest()
    assert guest.first_generation() + guest.enters() == []
    page = block_of(guest, 4) + 15 * PAGE
    guest.image.ram.write(FRAME_BYTES + (page - RAM.begin) // PAGE, bytes([0x60 | TAIL]))
    finding = first(guest.restores(), temporal.BLOCKS_RESTORED, page, "memblock/mem0 page 15")
    assert "preserved tail" in finding.what and "expected allocated tail" in finding.what


def test_page_changed_by_the_new_kernel() -> None:
    findings = restored_findings(lambda g: g.image.ram.write(block_of(g, 3), b"abc"))
    assert (
        findings[0].rule == temporal.PAGES_UNTIL_RESTORED
        and findings[0].owner == "khorig/archive page 0"
    )


@pytest.mark.parametrize("name", ["blocks", "pages", "bytes", "stores", "fragments", "depth"])
def test_restored_counts(name: str) -> None:
    def change(guest: FakeGuest) -> None:
        guest.restored_fields[name] += 1

    findings = restored_findings(change)
    assert name in first(findings, protocol.RESTORED_COUNTS, None, "").what


def test_nodes_may_be_reused_after_the_walk() -> None:
    assert restored_findings(lambda g: g.image.ram.write(g.image.nodes[3], b"reused")) == []


def test_scratch_is_inherited() -> None:
    guest = sealed_guest()
    assert guest.first_generation() + guest.enters() == []
    frames = {"table": hex(TABLE), "first": RAM.begin // PAGE, "count": RAM.size // PAGE}
    area = [hex(SCRATCH[0].begin), hex(SCRATCH[0].size)]
    guest.says("memory", 2, frames=frames, scratch=[area])
    guest.says("restored", 2, **guest.restored_fields)
    first(guest.stops("restored", 2), temporal.SCRATCH_INHERITED, SCRATCH[0].begin, "scratch")


def test_restored_without_words() -> None:
    guest = sealed_guest()
    assert guest.first_generation() + guest.enters() == []
    rules = [f.rule for f in guest.stops("restored", 2)]
    assert rules == [
        temporal.BLOCKS_RESTORED,
        temporal.SCRATCH_INHERITED,
        protocol.RESTORED_COUNTS,
        protocol.FOUND,
        protocol.MODES,
    ]


def test_frame_table_outside_ram() -> None:
    guest = sealed_guest()
    assert guest.first_generation() + guest.enters() == []
    frames = {"table": hex(RAM.end), "first": 0, "count": 5}
    scratch = [[hex(a.begin), hex(a.size)] for a in SCRATCH]
    guest.says("memory", 2, frames=frames, scratch=scratch)
    guest.says("restored", 2, **guest.restored_fields)
    findings = guest.stops("restored", 2)
    first(findings, temporal.BLOCKS_RESTORED, RAM.end, "frame table")
