# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel switches off before the jump is off."""

from __future__ import annotations

from dataclasses import replace

from khorig.guest.machine import LeftOn
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import DEVICES_OFF
from khorig.rules.reason import Reason
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record


def check_devices(stop: Stop, sealed: Record) -> list[Finding]:
    """No device, timer or interrupt controller is on at kernel entry, but for a device that was
    handed over as it works, and the bridges above it."""
    if not stop.devices.seen:
        unread = stop.devices.unread
        return [stop.finding(DEVICES_OFF, "QEMU does not show any device", evidence=unread)]
    live = sealed.snapshot.clients.live
    return [
        _left_on(stop, left)
        for left in stop.devices.left_on
        if live is None or not _is_live(left, live.function)
    ]


def _is_live(left: LeftOn, function: int) -> bool:
    pci = left.pci
    return pci is not None and (pci.function == function or pci.is_above(function))


def _left_on(stop: Stop, left: LeftOn) -> Finding:
    found = stop.finding(DEVICES_OFF, f"{left.device}: {left.text}", left.address, left.device)
    if left.register != "command":
        return found
    what = f"DMA by {left.device} may reach any page until generation {stop.generation} stops it"
    return replace(found, why=(Reason("device", what, left.address or 0, left.address or 0),))
