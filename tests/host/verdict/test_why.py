# SPDX-License-Identifier: BSD-3-Clause
"""A finding says which segment, block, scratch area, node or owner its page has to do with."""

from __future__ import annotations

from verdict.fake_guest import block_of, sealed_guest, stop_of
from view.handover_image import PAGE, SCRATCH

from khorig.guest.facts import GuestFacts, Segment, Segments
from khorig.guest.machine import DeviceStates, LeftOn
from khorig.kho.snapshot import snapshot_of_stop
from khorig.mem.memory import PhysRange, RamMemory
from khorig.rules.finding import Finding
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal
from khorig.rules.why import Why


def reasons(finding: Finding) -> dict[str, str]:
    """By kind."""
    return {reason.kind: reason.what for reason in finding.why}


def test_a_segment_over_a_block_is_named_with_the_block() -> None:
    guest = sealed_guest()
    block = block_of(guest, 4)
    guest.segments.append(["initrd", hex(block), hex(2 * PAGE)])
    [finding] = [f for f in guest.first_generation() if f.rule == protocol.SEGMENTS]
    owner, area = finding.owner, PhysRange(block, 2 * PAGE)
    why = reasons(finding)
    assert why["segment"] == (
        f"segment 1 (initrd) {area} of the next kernel, generation 2, lies over {owner}"
    )
    whole = PhysRange(block, 16 * PAGE)
    assert why["block"] == f"page 0 of {whole}, which generation 1 preserved as order 4"
    [over] = [reason for reason in finding.why if reason.kind == "segment"]
    assert (over.begin, over.end) == (block, block + 2 * PAGE)


def test_a_segment_that_adjoins_a_changed_page_is_named() -> None:
    guest = sealed_guest()
    block = block_of(guest, 4)
    guest.segments.append(["initrd", hex(block - 3 * PAGE), hex(2 * PAGE)])
    guest.first_generation()
    guest.image.ram.write(block, b"changed")
    finding = next(f for f in guest.enters() if f.rule == temporal.PAGES_ACROSS_JUMP)
    assert finding.changed is not None
    assert (finding.changed.pages, finding.changed.count) == ((block,), 1)
    assert (finding.changed.generation, finding.changed.stop) == (1, "sealed")
    assert reasons(finding)["segment"].endswith(
        "of the next kernel, generation 2, ends 0x1000 bytes before it"
    )


def test_a_changed_node_is_one_that_nothing_preserves() -> None:
    guest = sealed_guest()
    guest.first_generation()
    node = sorted(guest.image.nodes)[0]
    guest.image.ram.write(node + 8, b"changed")
    guest.has_memory(1)
    finding = next(f for f in guest.enters() if f.rule == temporal.TRACKER_ACROSS_JUMP)
    assert reasons(finding)["node"] == "tracker node of generation 1, which nothing preserves"


def test_scratch_that_adjoins_is_named() -> None:
    guest = sealed_guest()
    area = SCRATCH[0]
    page = area.end
    guest.segments.append(["initrd", hex(page), hex(PAGE)])
    [finding] = [f for f in guest.first_generation() if f.rule == protocol.SEGMENTS]
    assert reasons(finding)["scratch"] == f"scratch area 0 {area} ends right before it"


def test_a_page_that_nobody_owns_is_free_or_not() -> None:
    guest = sealed_guest()
    page = SCRATCH[0].end
    guest.segments.append(["initrd", hex(page), hex(PAGE)])
    [finding] = [f for f in guest.first_generation() if f.rule == protocol.SEGMENTS]
    assert "for the allocator of generation 1: free" in reasons(finding)["allocator"]


def test_owners_beside_the_page_are_named() -> None:
    guest = sealed_guest()
    blocks = dict(guest.image.blocks)
    block = next(at for at in blocks if at + (PAGE << blocks[at]) in blocks)
    last = block + (PAGE << blocks[block]) - PAGE
    guest.segments.append(["initrd", hex(last), hex(PAGE)])
    [finding] = [f for f in guest.first_generation() if f.rule == protocol.SEGMENTS]
    [after] = [r for r in finding.why if r.begin == last + PAGE]
    assert (after.kind, after.end) == ("owner", last + 2 * PAGE)
    assert after.what.startswith("the page after belongs to ")


def test_what_an_earlier_generation_had_there_is_named() -> None:
    """Its leftovers are not the last one's."""
    why = Why()
    guest = sealed_guest()
    memory = RamMemory(guest.image.ram)
    block = block_of(guest, 4)
    for generation, root in ((1, guest.image.root), (2, guest.image.root)):
        facts = GuestFacts()
        if generation == 1:
            area = Segment("kernel", PhysRange(block, PAGE))
            facts.segments = Segments((area,), block)
        stop = stop_of(memory, guest.spec, generation, facts=facts)
        assert why.explain(stop, snapshot_of_stop(stop.dump(root)), []) == []
    [finding] = why.explain(stop, None, [stop.finding("KHR-I082", "changed", block)])
    assert reasons(finding)["earlier"] == (
        f"generation 2 was loaded there: segment 0 (kernel) {PhysRange(block, PAGE)}"
    )


def test_a_register_of_a_device_is_no_memory() -> None:
    guest = sealed_guest()
    guest.first_generation()
    on = LeftOn("PCI function 00:05.0", "command", 4, "bus mastering on", 0xB0000004)
    guest.devices = DeviceStates(seen=("PCI functions",), left_on=(on,))
    finding = next(f for f in guest.enters() if f.rule == protocol.DEVICES_OFF)
    assert reasons(finding) == {
        "device": "DMA by PCI function 00:05.0 may reach any page until generation 2 stops it"
    }
