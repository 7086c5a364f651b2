# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel switches off before the jump is off."""

from __future__ import annotations

from dataclasses import replace

from khorig.guest.machine import LeftOn
from khorig.kho.clients.khorig import Clients
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import DEVICES_OFF
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
    if left.register != "command":
        return found
    what = f"DMA by {left.device} may reach any page until generation {stop.generation} stops it"
    return replace(found, why=(Reason("device", what, left.address or 0, left.address or 0),))
