# SPDX-License-Identifier: BSD-3-Clause
"""A device that works across the jump must go on, where it was, and write only its record."""

from __future__ import annotations

import dataclasses
from typing import Any

from verdict.fake_guest import FakeGuest, first
from view.live_device_image import (
    FUNCTION,
    OFFSET,
    REGISTERS,
    add_live_device,
    description,
    iommu,
    live_page,
    record,
)

from khorig.guest.machine import DeviceStates, LeftOn, PciPlace
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal
from khorig.run.judge import RunJudge

OWNER = "live device edu"
FOUND = "PCI function 01:03.0"


def master(function: int = FUNCTION, **changes: Any) -> LeftOn:
    """A function that is on."""
    place = dataclasses.replace(PciPlace(function, (REGISTERS,)), **changes)
    name = f"PCI function {function >> 8:02x}:{function >> 3 & 31:02x}.{function & 7}"
    return LeftOn(name, "command", 6, "bus mastering on", None, place)


BRIDGE = master(0x0008, memory=(), behind=(1, 1))


def live_guest(count: int = 4, described: int = 4) -> tuple[FakeGuest, int]:
    """A guest that has sealed a live device; the page."""
    guest = FakeGuest()
    guest.spec = dataclasses.replace(guest.spec, scenario="live-dma")
    guest.judge = RunJudge(guest.spec)
    page = live_page(guest.image, count)
    blob = add_live_device(guest.image, description(page, described))
    guest.left_out = {page, blob}
    guest.seal()
    guest.devices = DeviceStates(("PCI functions",), (BRIDGE, master()))
    guest.found |= {"masters": ["0x8", hex(FUNCTION)], "last_bus": 1}
    return guest, page


def writes(guest: FakeGuest, page: int, count: int) -> None:
    guest.image.ram.write(page + OFFSET, record(count))


def test_a_transfer_over_the_jump_passes() -> None:
    guest, page = live_guest()
    assert guest.first_generation() == []
    assert guest.judge.counters == {OWNER: 4}
    assert guest.enters() == []
    assert guest.judge.counters == {OWNER: 4}
    writes(guest, page, 5)
    assert guest.restores() == []
    assert guest.judge.counters == {OWNER: 5}


def test_it_may_end_before_the_entry() -> None:
    guest, page = live_guest()
    assert guest.first_generation() == []
    writes(guest, page, 5)
    assert guest.enters() == []
    assert guest.restores() == []


def test_a_transfer_that_never_ends_or_a_second_one_is_found() -> None:
    for count, text in ((4, "written 4 times, expected 5"), (6, "written 6 times, expected 5")):
        guest, page = live_guest()
        assert guest.first_generation() == []
        assert guest.enters() == []
        writes(guest, page, count)
        found = first(guest.restores(), protocol.LIVE_DEVICE, page + OFFSET, OWNER)
        assert text in found.what


def test_garbage_is_found() -> None:
    guest, page = live_guest()
    assert guest.first_generation() == []
    assert guest.enters() == []
    guest.image.ram.write(page + OFFSET, b"\1" * 16)
    found = first(guest.restores(), protocol.LIVE_DEVICE, page + OFFSET, OWNER)
    assert found.what.startswith("live-record: ")
    assert guest.judge.counters == {}


def test_the_description_must_agree_at_the_seal() -> None:
    guest, page = live_guest(described=3)
    found = first(guest.first_generation(), protocol.LIVE_DEVICE, page + OFFSET, OWNER)
    assert found.what == "edu has written 4 times, expected 3"


def test_a_handover_without_it_is_found() -> None:
    guest = FakeGuest()
    guest.spec = dataclasses.replace(guest.spec, scenario="live-dma")
    guest.judge = RunJudge(guest.spec)
    guest.seal()
    found = first(guest.first_generation(), protocol.LIVE_DEVICE, None, "")
    assert found.what == "no device is handed over that can be read"


def test_a_byte_beside_the_record_is_found() -> None:
    for at, stop in ((OFFSET - 1, "entry"), (OFFSET + 16, "restored"), (0, "entry")):
        guest, page = live_guest()
        assert guest.first_generation() == []
        byte = guest.image.ram.read(page + at, 1)[0]
        if stop == "entry":
            guest.image.ram.write(page + at, bytes([byte ^ 1]))
            found = first(guest.enters(), temporal.LIVE_PAGE, page, OWNER)
        else:
            assert guest.enters() == []
            writes(guest, page, 5)
            guest.image.ram.write(page + at, bytes([byte ^ 1]))
            found = first(guest.restores(), temporal.LIVE_PAGE, page, OWNER)
        word = f"{page + at & ~7:#018x}:"
        assert any(line.startswith(word) for line in found.evidence), found.evidence


def test_a_device_that_lost_bus_mastering_is_found() -> None:
    guest, _ = live_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(("PCI functions",), (BRIDGE,))
    found = first(guest.enters(), protocol.LIVE_DEVICE, None, FOUND)
    assert found.what == f"{FOUND} lost bus mastering"


def test_registers_that_moved_are_found() -> None:
    guest, _ = live_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(("PCI functions",), (master(memory=(REGISTERS + 4096,)),))
    found = first(guest.enters(), protocol.LIVE_DEVICE, REGISTERS, FOUND)
    assert found.what == f"{FOUND} has registers at 0xf0001000, handed over at 0xf0000000"


def test_every_other_function_must_be_off() -> None:
    other = master(FUNCTION + 8)
    beside = master(0x0010, memory=(), behind=(2, 2))
    for left in (other, beside):
        guest, _ = live_guest()
        assert guest.first_generation() == []
        guest.devices = DeviceStates(("PCI functions",), (master(), left))
        first(guest.enters(), protocol.DEVICES_OFF, None, left.device)


def test_functions_that_nobody_saw_are_not_on() -> None:
    guest, _ = live_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(("PIT",))
    found = first(guest.enters(), protocol.LIVE_DEVICE, None, "")
    assert found.what == "QEMU does not show PCI functions"


def iommu_guest() -> tuple[FakeGuest, list[int]]:
    """A guest whose live device is behind an IOMMU; its root, contexts, and one table a level."""
    guest = FakeGuest()
    guest.spec = dataclasses.replace(guest.spec, scenario="live-dma")
    guest.judge = RunJudge(guest.spec)
    page = live_page(guest.image)
    device = add_live_device(guest.image, description(page))
    tables = [guest.image.preserved_page() for _ in range(5)]
    for table, below in zip(tables, [*tables[1:], page]):
        guest.image.write_u64(table, below | 3)
    described = add_live_device(guest.image, iommu(tables), "live-iommu")
    guest.left_out = {page, device, described}
    guest.seal()
    guest.devices = DeviceStates(("PCI functions", "IOMMU"), (master(), translating(tables[0])))
    return guest, tables


def translating(root: int) -> LeftOn:
    return LeftOn("VT-d", "RTADDR", root, "translation on", 0xFED90000, tables=root)


def test_an_iommu_that_is_handed_over_is_on() -> None:
    guest, _ = iommu_guest()
    assert guest.first_generation() == []
    assert guest.enters() == []


def test_an_iommu_that_is_off_or_has_other_tables_is_found() -> None:
    guest, tables = iommu_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(("PCI functions", "IOMMU"), (master(),))
    found = first(guest.enters(), protocol.LIVE_DEVICE, 0xFED90000, "tables of vtd")
    assert found.what == "vtd at 0xfed90000 is off, or has other tables"
    guest, tables = iommu_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(("PCI functions", "IOMMU"), (master(), translating(tables[1])))
    first(guest.enters(), protocol.DEVICES_OFF, 0xFED90000, "VT-d")


def test_an_iommu_that_nobody_handed_over_must_be_off() -> None:
    guest, page = live_guest()
    assert guest.first_generation() == []
    guest.devices = DeviceStates(("PCI functions",), (BRIDGE, master(), translating(page)))
    first(guest.enters(), protocol.DEVICES_OFF, 0xFED90000, "VT-d")


def test_a_table_that_was_not_handed_over_is_found() -> None:
    guest, tables = iommu_guest()
    other = guest.image.allocate()
    assert guest.first_generation() == []
    guest.image.write_u64(tables[3] + 8, other | 3)
    found = first(guest.enters(), protocol.LIVE_DEVICE, other, "tables of vtd")
    assert "was not handed over" in found.what
