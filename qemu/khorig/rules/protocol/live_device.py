# SPDX-License-Identifier: BSD-3-Clause
"""A device that works across the jump."""

from __future__ import annotations

from khorig.kho.clients.live_device import LiveDevice, read_live_count
from khorig.kho.clients.iommu_tables import walked_tables
from khorig.mem.errors import DecodeError
from khorig.mem.memory import read_bytes
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import LIVE_DEVICE
from khorig.rules.stop import Stop
from khorig.rules.temporal.byte_differences import describe_change
from khorig.rules.temporal.definitions import LIVE_PAGE
from khorig.rules.temporal.record import Record


def check_live_device(stop: Stop, sealed: Record) -> list[Finding]:
    """At `sealed` the device has done what is handed over and no more; at `entry` it is on, where
    it was; at `restored` it has done one transfer more."""
    live = sealed.snapshot.clients.live
    if live is None:
        return [stop.finding(LIVE_DEVICE, "no device is handed over that can be read")]
    if stop.at == "entry":
        return [*_check_on(stop, live), *_check_iommu(stop, sealed)]
    return _check_count(stop, live, live.count + (stop.at == "restored"))


def _check_on(stop: Stop, live: LiveDevice) -> list[Finding]:
    if "PCI functions" not in stop.devices.seen:
        return [stop.finding(LIVE_DEVICE, "QEMU does not show PCI functions")]
    places = [left.pci for left in stop.devices.left_on if left.pci is not None]
    place = next((place for place in places if place.function == live.function), None)
    name = f"PCI function {live.place}"
    if place is None:
        return [stop.finding(LIVE_DEVICE, f"{name} lost bus mastering", owner=name)]
    if live.registers not in place.memory:
        found = ", ".join(f"{address:#x}" for address in place.memory) or "none"
        what = f"{name} has registers at {found}, handed over at {live.registers:#x}"
        return [stop.finding(LIVE_DEVICE, what, live.registers, name)]
    return []


def _check_iommu(stop: Stop, sealed: Record) -> list[Finding]:
    """The IOMMU is on with the tables that were handed over, which are all that it walks."""
    iommu = sealed.snapshot.clients.iommu
    if iommu is None:
        return []
    if not any(left.tables == iommu.root for left in stop.devices.left_on):
        what = f"{iommu.kind} at {iommu.registers:#x} is off, or has other tables"
        return [stop.finding(LIVE_DEVICE, what, iommu.registers, iommu.owner)]
    for address in walked_tables(stop.memory, iommu):
        if not any(table.contains(address, 1) for table in iommu.tables):
            what = f"{iommu.kind} walks a table at {address:#018x} that was not handed over"
            return [stop.finding(LIVE_DEVICE, what, address, iommu.owner)]
    return []


def _check_count(stop: Stop, live: LiveDevice, expected: int) -> list[Finding]:
    try:
        count = read_live_count(stop.memory, live)
    except DecodeError as error:
        return [stop.finding_of(LIVE_DEVICE, error.problem, live.owner)]
    if count == expected:
        return []
    what = f"{live.kind} has written {count} times, expected {expected}"
    return [stop.finding(LIVE_DEVICE, what, live.written.begin, live.owner)]


def check_live_page(stop: Stop, sealed: Record) -> list[Finding]:
    """Of the device's page nothing changes but what it is said to write."""
    live = sealed.snapshot.clients.live
    if live is None:
        return []  # the rule above has it
    now = read_bytes(stop.memory, live.page.begin, live.page.size)
    before, after = live.without_written(sealed.live_page), live.without_written(now)
    if before == after:
        return []
    what = f"page {live.page.begin:#018x} changed beside what {live.kind} writes"
    evidence = tuple(describe_change(live.page.begin, before, after, 0))
    return [stop.finding(LIVE_PAGE, what, live.page.begin, live.owner, evidence)]
