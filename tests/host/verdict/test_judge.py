# SPDX-License-Identifier: BSD-3-Clause
"""The judge over a whole run, and at `sealed`: one clean run, and one broken for every rule."""

from __future__ import annotations

import struct

import pytest
from verdict.fake_guest import (
    ALLOCATED,
    FRAME_BYTES,
    FREE,
    TABLE,
    TAIL,
    FakeGuest,
    block_of,
    first,
    sealed_guest,
)
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.plan import Plan
from khorig.rules.protocol import definitions as protocol
from khorig.rules.registry import RULES
from khorig.rules.rule import Kind
from khorig.rules.temporal import definitions as temporal
from khorig.run.coverage import JumpCoverage
from khorig.run.judge import RunJudge


def test_clean_run() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    assert guest.enters() == []
    assert guest.restores() == []
    assert guest.judge.finish(33) == []
    counted = guest.judge.statistics
    assert counted.preserved_blocks == len(guest.image.blocks)
    assert counted.preserved_bytes == counted.preserved_pages * PAGE
    assert (counted.fragments, counted.fragment_depth) == (6, 5)
    assert counted.radix_nodes == len(guest.image.nodes)
    assert counted.pages_compared == 2 * counted.preserved_pages + counted.radix_nodes
    pages = counted.preserved_pages
    assert counted.jumps == (JumpCoverage(1, 1, pages, pages * PAGE),)


def test_nothing_is_kept_of_guest_memory() -> None:
    """Views that outlive a stop would keep the memory of a machine that is gone."""
    guest = sealed_guest()
    guest.first_generation()
    guest.image.ram.write(block_of(guest, 4), b"x")
    guest.enters()
    guest.restores()
    guest.image.ram.close()


def test_every_missing_rule_is_named() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    guest.boots(2)
    missing = guest.judge.finish(33)
    due = (
        temporal.PAGES_ACROSS_JUMP,
        temporal.TRACKER_ACROSS_JUMP,
        temporal.HANDOFF,
        protocol.DEVICES_OFF,
        protocol.ENTERED,
        temporal.PAGES_UNTIL_RESTORED,
        temporal.BLOCKS_RESTORED,
        temporal.SCRATCH_INHERITED,
        protocol.RESTORED_COUNTS,
        protocol.FOUND,
        protocol.MODES,
    )
    wanted = [f"{rule} was not evaluated: {RULES[rule].title}" for rule in due]
    nothing = "no pages compared across the jump from generation 1 to 2"
    assert [finding.what for finding in missing] == [*wanted[:10], nothing]  # ten are enough
    assert {finding.rule for finding in missing} == {protocol.EVALUATED, protocol.COMPARED}


def due_of(spec: KhorigRun) -> dict[tuple[int, str], set[str]]:
    """The temporal and protocol rules that are due in a run."""
    plan = Plan(spec)
    found = {}
    for generation in range(1, spec.generations + 1):
        for at in spec.stops_of(generation):
            due = {r for r in plan.due(generation, at) if RULES[r].kind is not Kind.STATIC}
            if due:
                found[generation, at] = due
    return found


_SEALED = {
    protocol.SEGMENTS,
    protocol.TRANSITION,
    protocol.RAM_USED,
    protocol.SEALED_COUNTS,
    protocol.LEDGER,
    protocol.MODES,
}
_JUMP = {
    temporal.PAGES_ACROSS_JUMP,
    temporal.TRACKER_ACROSS_JUMP,
    protocol.DEVICES_OFF,
    protocol.ENTERED,
}
_ENTRY = {*_JUMP, temporal.HANDOFF}
_RESTORED = {
    temporal.PAGES_UNTIL_RESTORED,
    protocol.FOUND,
    temporal.BLOCKS_RESTORED,
    temporal.SCRATCH_INHERITED,
    protocol.RESTORED_COUNTS,
    protocol.MODES,
}
_TABLES = {temporal.FIRMWARE_TABLES, temporal.FIRMWARE_HEADERS}
_FIRMWARE = {*_TABLES, temporal.RUNTIME_SERVICES}
_FIRMWARE_ENTRY = {*_FIRMWARE, temporal.FIRMWARE_MAP, temporal.RSDP_HANDED_ON}


@pytest.mark.parametrize(
    "spec, due",
    [
        (KhorigRun("x86_64", "q35", generations=1), {}),
        (KhorigRun("x86_64", "q35", generations=2, stops=("entry",)), {}),
        (KhorigRun("x86_64", "q35", generations=2, stops=("sealed",)), {(1, "sealed"): _SEALED}),
        (
            KhorigRun("x86_64", "q35", generations=2, expected_refusals={2: "fdt-magic"}),
            {(1, "sealed"): _SEALED, (2, "entry"): _JUMP},
        ),
        (
            KhorigRun("x86_64", "q35", generations=2, scenario="churn", smp=2),
            {
                (1, "sealed"): {*_SEALED, protocol.SCENARIO, protocol.CPUS_ONLINE},
                (2, "entry"): {*_ENTRY, protocol.CPUS_PARKED},
                (2, "restored"): {*_RESTORED, protocol.CPUS_ONLINE},
            },
        ),
        (
            KhorigRun("x86_64", "q35", generations=3, boot="uefi"),
            {
                (1, "entry"): {*_TABLES, temporal.FIRMWARE_MAP},
                (1, "sealed"): {*_SEALED, *_FIRMWARE},
                (2, "entry"): {*_ENTRY, *_FIRMWARE_ENTRY},
                (2, "restored"): {*_RESTORED, *_FIRMWARE},
                (2, "sealed"): {*_SEALED, temporal.PAGES_HANDED_ON, *_FIRMWARE},
                (3, "entry"): {*_ENTRY, *_FIRMWARE_ENTRY},
                (3, "restored"): {*_RESTORED, *_FIRMWARE},
            },
        ),
    ],
)
def test_what_is_due_in_a_run(spec: KhorigRun, due: dict[tuple[int, str], set[str]]) -> None:
    assert due_of(spec) == due


def test_a_run_that_is_to_fail_is_not_held_to_what_is_due() -> None:
    assert RunJudge(KhorigRun("x86_64", "q35", generations=2, expected_status=41)).finish(41) == []


def test_a_million_generations_cost_nothing_before_they_run() -> None:
    judge = RunJudge(KhorigRun("x86_64", "q35", generations=1 << 20))
    assert judge.finish(None) == []


def test_an_armed_fault_that_never_happens_is_a_finding() -> None:
    spec = KhorigRun("x86_64", "q35", generations=1, fault="write-after-seal")
    (finding,) = RunJudge(spec).finish(33)
    assert finding.rule == protocol.FAULT_FIRED and "write-after-seal" in finding.what
    judge = RunJudge(spec)
    judge.on_event(GuestEvent("fault", 1, 0, 0.0, {"name": "write-after-seal"}))
    assert judge.finish(33) == []


def test_ram_that_the_kernel_does_not_use_is_a_finding() -> None:
    guest = sealed_guest()
    unused = 4 << 20
    guest.image.ram.write(TABLE + (RAM.size - unused) // PAGE, bytes(unused // PAGE))
    findings = [f for f in guest.first_generation() if f.rule == protocol.RAM_USED]
    assert f"uses {(RAM.size - unused) >> 20} MiB of {RAM.size >> 20} MiB" in findings[0].what


def test_other_stops_decide_nothing() -> None:
    guest = sealed_guest()
    guest.first_generation()
    guest.boots(2)
    assert guest.stops("refused", 2) == []
    assert guest.judge.statistics.pages_compared == 0


# ---- sealed


def test_root_not_preserved() -> None:
    guest = sealed_guest()
    guest.image.blocks.remove((guest.image.root, 0))
    guest.image.finish()
    finding = first(guest.first_generation(), "KHR-I005", guest.image.root, "root")
    assert "root page is not preserved" in finding.what


def test_no_root_at_all() -> None:
    guest = sealed_guest()
    guest.image.ram.write(guest.image.root, b"nothing")
    finding = first(guest.first_generation(), "KHR-I001", guest.image.root, "root")
    assert "fdt-magic" in finding.what
    assert guest.enters() == []  # nothing to compare with, and that is named in the end:
    assert guest.judge.finish(33)[0].what.startswith("KHR-I110 was not evaluated")


def test_node_in_scratch() -> None:
    guest = sealed_guest()
    at = SCRATCH[0].end - PAGE
    leaf = guest.image.nodes[-1]
    guest.image.ram.write(at, guest.image.ram.read(leaf, PAGE))
    for node in guest.image.nodes:
        for slot in range(node, node + PAGE, 8):
            if guest.image.ram.read_u64(slot) == leaf:
                guest.image.write_u64(slot, at)
    findings = guest.first_generation()
    assert findings[0].rule == "KHR-I022" and findings[0].where == f"{at:#018x}"
    assert findings[0].owner.startswith("radix node of level 0")
    assert "a node of the radix tree" in findings[0].what


def test_block_in_scratch() -> None:
    guest = sealed_guest()
    guest.image.preserve(SCRATCH[0].end - PAGE, 0)
    guest.image.finish()
    finding = first(guest.first_generation(), "KHR-I021", SCRATCH[0].end - PAGE, "nobody")
    assert "preserved block of order 0" in finding.what


def test_node_in_a_block() -> None:
    guest = sealed_guest()
    node = guest.image.nodes[-1]
    guest.image.set_key(1 << 52 | node >> 12)
    findings = guest.first_generation()
    assert findings[0].rule == "KHR-I017" and findings[0].where == f"{node:#018x}"
    assert "inside a preserved block" in findings[0].what


@pytest.mark.parametrize(
    "area, rule",
    [((SCRATCH[0].begin, PAGE), "KHR-I062"), ((RAM.end, 4 << 20), "KHR-I063")],
)
def test_bad_scratch(area: tuple[int, int], rule: str) -> None:
    guest = sealed_guest()
    guest.boots(1)
    frames = {"table": hex(TABLE), "first": RAM.begin // PAGE, "count": RAM.size // PAGE}
    guest.says("memory", 1, frames=frames, scratch=[[hex(area[0]), hex(area[1])]])
    guest.says("segments", 1, list=guest.segments, entry=guest.entry())
    assert guest.stops("sealed", 1, **guest.stop_fields)[0].rule == rule


def test_segment_on_a_preserved_page() -> None:
    guest = sealed_guest()
    target = block_of(guest, 3)
    guest.segments.append(["parameters", hex(target - PAGE), hex(2 * PAGE)])
    findings = guest.first_generation()
    assert findings[0].rule == protocol.SEGMENTS
    assert "'parameters'" in findings[0].what and "overwrite" in findings[0].what
    assert findings[0].where and findings[0].owner


def test_segment_outside_scratch_but_harmless() -> None:
    guest = sealed_guest()
    guest.segments.append(["initrd", hex(RAM.end - PAGE), hex(PAGE)])
    first(guest.first_generation(), protocol.SEGMENTS, RAM.end - PAGE, "")


def test_segments_that_overlap_and_entry() -> None:
    guest = sealed_guest()
    guest.segments.append(["more", hex(SCRATCH[0].begin + 0xF000), hex(PAGE)])
    first(guest.first_generation(), protocol.SEGMENTS, SCRATCH[0].begin + 0xF000, "")
    guest = sealed_guest()
    guest.segments[0][1] = hex(SCRATCH[0].begin + PAGE)
    guest.boots(1)
    guest.has_memory(1)
    guest.says("segments", 1, list=guest.segments, entry=hex(SCRATCH[0].begin))
    findings = guest.stops("sealed", 1, **guest.stop_fields)
    assert "entry" in first(findings, protocol.SEGMENTS, SCRATCH[0].begin, "").what


def test_an_entry_beside_the_kernels_own() -> None:
    guest = sealed_guest()
    guest.boots(1)
    guest.has_memory(1)
    entry = int(guest.entry(), 16) + 16
    guest.says("segments", 1, list=guest.segments, entry=hex(entry))
    findings = guest.stops("sealed", 1, **guest.stop_fields)
    assert f"expected {entry - 16:#018x}" in first(findings, protocol.SEGMENTS, entry, "").what


@pytest.mark.parametrize("field", ["blocks", "pages", "nodes"])
@pytest.mark.parametrize("change", [-1, 1])
def test_counts(field: str, change: int) -> None:
    guest = sealed_guest()
    guest.stop_fields[field] += change
    assert field in first(guest.first_generation(), protocol.SEALED_COUNTS, None, "").what


def test_preserved_for_nobody() -> None:
    guest = sealed_guest()
    lost = guest.image.allocate()
    guest.image.preserve(lost, 0)
    guest.image.finish()
    findings = [f for f in guest.first_generation() if f.rule == "KHR-I070"]
    first(findings, "KHR-I070", lost, "nobody")


def test_two_owners() -> None:
    guest = FakeGuest()
    page = next(at for at, o in guest.image.blocks if o == 3)
    guest.image.clients["twin"] = guest.image.link(page, 5)
    guest.seal()
    finding = first(guest.first_generation(), "KHR-I068", page, "twin")
    assert "khorig/archive" in finding.what


@pytest.mark.parametrize(
    "offset, value, text",
    [
        (0, FREE | 4, "free head of order 4"),
        (0, ALLOCATED | 3, "head of order 3"),
        (0, 0x60 | 4, "preserved head"),
        (5, ALLOCATED, "head of order 0"),
        (15, FREE | TAIL, "free tail"),
        (7, 0x80 | ALLOCATED | TAIL, "scratch"),
        (9, 0, "not ram"),
    ],
)
def test_allocator_disagrees(offset: int, value: int, text: str) -> None:
    guest = sealed_guest()
    block = block_of(guest, 4)
    page = block + offset * PAGE
    guest.image.ram.write(FRAME_BYTES + (page - RAM.begin) // PAGE, bytes([value]))
    finding = first(guest.first_generation(), "KHR-I024", page, f"memblock/mem0 page {offset}")
    assert text in finding.what


def test_tree_on_a_free_page() -> None:
    guest = sealed_guest()
    node = guest.image.nodes[2]
    guest.image.ram.write(FRAME_BYTES + (node - RAM.begin) // PAGE, bytes([FREE]))
    finding = guest.first_generation()[0]
    assert finding.rule == "KHR-I025" and finding.owner.startswith("radix node of level 3")


@pytest.mark.parametrize("count", [0, 2])
def test_kexec_count(count: int) -> None:
    guest = sealed_guest()
    record = next(a for a, o in guest.image.blocks if guest.image.ram.read(a, 5) == b"\1\0\0\0k")
    guest.image.ram.write(record + 69, struct.pack("<I", count))
    first(guest.first_generation(), "KHR-I045", record, "kexec-metadata")


def test_events_that_are_missing() -> None:
    guest = sealed_guest()
    findings = guest.stops("sealed", 1, **guest.stop_fields)
    assert "'memory' event" in first(findings, protocol.SEGMENTS, None, "").what
    guest = sealed_guest()
    guest.has_memory(1)
    assert "'segments' event" in guest.stops("sealed", 1, **guest.stop_fields)[0].what


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("boot", {"parameters": 5}),
        ("memory", {"frames": {"table": "0x1", "first": 0, "count": "3"}, "scratch": []}),
        ("memory", {"frames": [], "scratch": []}),
        ("memory", {"frames": {"table": "0x1", "first": 0, "count": 3}, "scratch": [["0x1"]]}),
        ("segments", {"list": [[1, "0x1", "0x1"]], "entry": "0x1"}),
        ("segments", {"list": [["a", "0x1", "-1"]], "entry": "0x1"}),
        ("segments", {"list": {}, "entry": "0x1"}),
    ],
)
def test_events_that_are_no_events(kind: str, fields: dict[str, object]) -> None:
    with pytest.raises(EventFieldError):
        FakeGuest().says(kind, 1, **fields)
