# SPDX-License-Identifier: BSD-3-Clause
"""Each tampering breaks what its name says: the reader finds its cause, and no other before it."""

from __future__ import annotations

import struct

import libfdt
import numpy as np
import pytest
from verdict.fake_guest import ARRAY, PARAMETERS, FakeGuest, sealed_guest
from view.handover_image import PAGE, RAM, SCRATCH, HandoverImage

from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts
from khorig.kho.boot.handoff import find_handoff
from khorig.kho.clients.khorig import decode_clients
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.placement import check_placement
from khorig.kho.radix import RadixTree
from khorig.kho.scratch import check_scratch, read_scratch
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange
from khorig.rules.temporal.page_hashes import hash_pages
from khorig.run.judging import StopContext
from khorig.run.tamper.catalogue import TAMPERINGS
from khorig.run.tamper.handoff_tamperings import HANDOFF_TAMPERINGS, HandoffTampering
from khorig.run.tamper.hook import TamperHook, find_handoff_target, find_target
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import CannotTamper

# Images fill memory from below; scratch lies above what they have.
EVERY_FRAME = np.arange(RAM.begin >> 12, SCRATCH[1].end >> 12, dtype=np.int64)


def name_of(tampering: object) -> str:
    assert isinstance(tampering, (Tampering, HandoffTampering))
    return tampering.name


def causes(image: HandoverImage, arch: str = "x86_64") -> list[str]:
    """What a reader finds wrong, in the order in which it reads."""
    memory = image.memory
    handoff = find_handoff(memory, arch, PARAMETERS)
    assert handoff
    try:
        scratch = read_scratch(memory, handoff.scratch_array)
        found = check_scratch(memory, scratch, GEOMETRY_4K)
        root = handoff.root.value
        if any(a.overlaps(root, PAGE) for a in scratch):
            return ["inside-scratch"]
        handover = decode_handover(memory, root, GEOMETRY_4K)
        found += handover.problems
        found += check_placement(handover, scratch)
        found += decode_clients(memory, handover).problems
        return [problem.id for problem in found]
    except DecodeError as error:
        return [error.problem.id]


def context(guest: FakeGuest, at: str = "entry", generation: int = 2) -> StopContext:
    event = GuestEvent("stop", generation, 0, 0.0, {"at": at, "root": hex(guest.image.root)})
    machine = MachineFacts("x86_64", "q35", RAM.size)
    boot = GuestEvent("boot", generation, 0, 0.0, {"parameters": hex(PARAMETERS)})
    return StopContext(generation, at, event, guest.image.ram, machine, boot)


def tamper(guest: FakeGuest, tampering: Tampering | HandoffTampering) -> list[str]:
    """Lets the hook see the stops of a run up to the entry of the second generation."""
    hook = TamperHook(tampering)
    lines = hook(context(guest, "entry", 1))
    lines += hook(context(guest, "sealed", 1))
    return lines + hook(context(guest))


def test_untouched() -> None:
    assert causes(sealed_guest().image) == []


def test_there_are_enough() -> None:
    assert len(TAMPERINGS) == 48
    assert len({t.cause for t in TAMPERINGS.values()}) >= 20


@pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=name_of)
def test_cause(tampering: Tampering | HandoffTampering) -> None:
    guest = sealed_guest()
    lines = tamper(guest, tampering)
    assert len(lines) == 1 and lines[0].startswith(tampering.name + ": ")
    found = causes(guest.image)
    if tampering.name == "map-in-scratch":
        # Scratch is empty here, so the tree without the root page is found first.
        assert found == ["blob-not-preserved"] + ["blob-not-preserved"] * 3 + ["inside-scratch"]
    elif tampering.name == "node-in-scratch":
        assert tampering.cause in found
    else:
        assert found[0] == tampering.cause


@pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=name_of)
def test_nothing_else_is_touched(tampering: Tampering | HandoffTampering) -> None:
    """Only pages of structure, of the hand-off, or such as nobody uses are written."""
    guest = sealed_guest()
    image = guest.image
    before = hash_pages(image.memory, EVERY_FRAME, GEOMETRY_4K)
    tamper(guest, tampering)
    changed = before.differing(hash_pages(image.memory, EVERY_FRAME, GEOMETRY_4K))
    structure = set(image.nodes) | {ARRAY, PARAMETERS + PAGE}
    handover = decode_handover(sealed_guest().image.memory, image.root, GEOMETRY_4K)
    structure |= {f.address for f in handover.fragments}
    for address in (changed << 12).tolist():
        used = any(a <= address < a + (PAGE << o) for a, o in image.allocated)
        assert address in structure or not used, f"{address:#x}"
        assert address in structure or not any(s.contains(address, 1) for s in SCRATCH)


@pytest.mark.parametrize("name", ["magic", "scratch-odd"])
@pytest.mark.parametrize("at, generation", [("sealed", 2), ("entry", 1), ("entry", 3)])
def test_other_stops_are_left_alone(at: str, generation: int, name: str) -> None:
    guest = sealed_guest()
    assert TamperHook(TAMPERINGS[name])(context(guest, at, generation)) == []
    assert causes(guest.image) == []


def test_device_tree() -> None:
    """On arm64 the hand-off's numbers are cells of the device tree."""
    image = sealed_guest().image
    fdt = libfdt.FdtSw()
    fdt.finish_reservemap()
    fdt.begin_node("")
    fdt.property_u32("#address-cells", 2)
    fdt.property_u32("#size-cells", 2)
    fdt.begin_node("chosen")
    fdt.property("linux,kho-fdt", struct.pack(">QQ", image.root, PAGE))
    fdt.property("linux,kho-scratch", struct.pack(">QQ", ARRAY, 32))
    fdt.end_node()
    fdt.end_node()
    image.ram.write(PARAMETERS, bytes(fdt.as_fdt().as_bytearray()))
    assert causes(image, "arm64") == []
    for tampering in HANDOFF_TAMPERINGS:
        target = find_handoff_target(image.ram, "arm64", image.root, GEOMETRY_4K)
        tampering.apply(target)
        assert causes(image, "arm64")[0] == tampering.cause
        for field in (target.handoff.root, target.handoff.scratch, target.handoff.scratch_size):
            target.set(field, field.value)
    assert causes(image, "arm64") == []
    find_target(image.ram, "arm64", PARAMETERS, GEOMETRY_4K)


def test_a_spare_page_belongs_to_nobody() -> None:
    image = sealed_guest().image
    target = find_target(image.ram, "x86_64", PARAMETERS, GEOMETRY_4K)
    spare = list(target.spare_pages())
    assert len(spare) == len(set(spare)) > 100
    assert not set(spare) & set(image.nodes)
    assert not any(area.overlaps(page, PAGE) for page in spare for area in SCRATCH)
    assert not any(at <= page < at + (PAGE << o) for page in spare for at, o in image.blocks)


def keys_of(image: HandoverImage) -> set[int]:
    tree = decode_handover(image.memory, image.root, GEOMETRY_4K).tree
    assert isinstance(tree, RadixTree)
    return set(tree.keys.tolist())


def test_one_key_is_taken_away_alone() -> None:
    image = sealed_guest().image
    before = keys_of(image)
    target = find_target(image.ram, "x86_64", PARAMETERS, GEOMETRY_4K)
    key = target.geometry.key(image.root, 0)
    target.clear_key(key)
    after = keys_of(image)
    assert before - after == {key} and after < before
    with pytest.raises(CannotTamper):
        target.clear_key(1 << 51)


def test_the_handoff_of_another_root_is_left_alone() -> None:
    """The root's address stands behind a device tree that names an older root."""
    image = HandoverImage()
    older, root = image.root, image.preserved_page()
    fdt = libfdt.FdtSw()
    fdt.finish_reservemap()
    fdt.begin_node("")
    fdt.property_u32("#address-cells", 2)
    fdt.property_u32("#size-cells", 2)
    fdt.begin_node("chosen")
    fdt.property("linux,kho-fdt", struct.pack(">QQ", older, PAGE))
    fdt.property("linux,kho-scratch", struct.pack(">QQ", ARRAY, 32))
    fdt.end_node()
    fdt.end_node()
    image.ram.write(PARAMETERS, bytes(fdt.as_fdt().as_bytearray()))
    image.ram.write(PARAMETERS + PAGE + 64, struct.pack(">Q", root))
    with pytest.raises(CannotTamper):
        find_handoff_target(image.ram, "arm64", root, GEOMETRY_4K)
    target = find_handoff_target(image.ram, "arm64", older, GEOMETRY_4K)
    assert target.handoff.root.value == older


@pytest.mark.parametrize("name", ["scratch-odd", "scratch-size-unaligned"])
def test_the_undamaged_handoff_is_known(name: str) -> None:
    guest = sealed_guest()
    hook = TamperHook(TAMPERINGS[name])
    for at, generation in (("sealed", 1), ("entry", 2)):
        hook(context(guest, at, generation))
    assert hook.handoff and hook.handoff.scratch_array == PhysRange(ARRAY, 32)


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_no_handoff_in_memory(arch: str) -> None:
    image = sealed_guest().image
    with pytest.raises(CannotTamper):
        find_handoff_target(image.ram, arch, image.root + PAGE, GEOMETRY_4K)


def test_no_handover() -> None:
    guest = sealed_guest()
    guest.image.write_u64(PARAMETERS + 0x250, 0)
    with pytest.raises(CannotTamper):
        TamperHook(TAMPERINGS["magic"])(context(guest))


def test_what_is_needed_is_missing() -> None:
    image = HandoverImage()
    guest = FakeGuest()
    guest.image = image
    image.finish()
    guest.write_handoff()
    for name in ("size-zero", "nested-size-zero", "blocks-overlap"):
        with pytest.raises(CannotTamper):
            TamperHook(TAMPERINGS[name])(context(guest))
