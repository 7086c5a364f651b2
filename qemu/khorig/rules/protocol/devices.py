# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel switches off before the jump is off."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable

from khorig.guest.machine import BUS_MASTER, INTERRUPT, NOT_RESET, WATCHDOG, LeftOn
from khorig.kho.clients.khorig import Clients
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import DEVICES_OFF, FOUND
from khorig.rules.reason import Reason
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record


def check_devices(stop: Stop, sealed: Record) -> list[Finding]:
    """No device, timer or interrupt controller is on at kernel entry, but for a device that was
    handed over as it works, the bridges above it and its IOMMU."""
    if not stop.devices.seen:
        unread = stop.devices.unread
        return [stop.finding(DEVICES_OFF, "QEMU does not show any device", evidence=unread)]
    clients = sealed.snapshot.clients
    return [_left_on(stop, left) for left in stop.devices.left_on if not _is_live(left, clients)]


def _is_live(left: LeftOn, clients: Clients) -> bool:
    live, iommu, pci = clients.live, clients.iommu, left.pci
    if left.tables is not None:
        return iommu is not None and (left.address, left.tables) == (iommu.registers, iommu.root)
    if live is None or pci is None:
        return False
    return pci.function == live.function or pci.is_above(live.function)


def _left_on(stop: Stop, left: LeftOn) -> Finding:
    found = stop.finding(DEVICES_OFF, f"{left.device}: {left.text}", left.address, left.device)
    if left.why != BUS_MASTER:
        return found
    what = f"DMA by {left.device} may reach any page until generation {stop.generation} stops it"
    return replace(found, why=(Reason("device", what, left.address or 0, left.address or 0),))


def check_found(stop: Stop, sealed: Record) -> list[Finding]:
    """The kernel found on what the host saw on at `entry`, as far as both look."""
    found, seen = stop.facts.found, stop.facts.devices
    if found is None:
        return stop.no_event(FOUND, "found")
    if seen is None or not seen.seen:
        return []
    on = seen.left_on
    pairs = (
        ("bus masters", found.masters, _functions(on, BUS_MASTER, found.last_bus)),
        ("pending interrupts", found.interrupts, _functions(on, INTERRUPT, found.last_bus)),
        ("watchdogs", found.watchdogs, _functions(on, WATCHDOG, found.last_bus)),
    )
    findings = []
    for what, guest, host in pairs:
        if sorted(guest) != sorted(host):
            text = f"{what}: the kernel found {_names(guest)}, QEMU showed {_names(host)}"
            findings.append(stop.finding(FOUND, text))
    counts = (
        ("virtio-mmio devices in use", found.virtio, _count(on, "virtio-mmio", NOT_RESET)),
        (
            "serial ports with an interrupt pending",
            int(found.console),
            _count(on, "serial", INTERRUPT),
        ),
    )
    for what, count, shown in counts:
        if count != shown:
            text = f"{what}: the kernel found {count}, QEMU showed {shown}"
            findings.append(stop.finding(FOUND, text))
    return findings


def _functions(on: Iterable[LeftOn], why: str, last_bus: int) -> list[int]:
    places = (left.pci.function for left in on if left.why == why and left.pci is not None)
    return [function for function in places if function >> 8 <= last_bus]


def _count(on: Iterable[LeftOn], prefix: str, why: str) -> int:
    return sum(left.device.startswith(prefix) and left.why == why for left in on)


def _names(functions: Iterable[int]) -> str:
    names = (f"{at >> 8:02x}:{at >> 3 & 31:02x}.{at & 7}" for at in functions)
    return ", ".join(names) or "none"
