# SPDX-License-Identifier: BSD-3-Clause
"""virtio-mmio devices that were not reset. Those behind PCI need bus mastering."""

from __future__ import annotations

from khorig.guest.machine import LeftOn
from khorig.mem.untrusted import fields, items, text
from khorig.vm.devices.monitor import DeviceMonitor

_STATUS = 0x70
_BEHIND_PCI = "/virtio-backend"  # how QEMU names what a PCI function contains


def read_virtio(monitor: DeviceMonitor) -> list[LeftOn]:
    """The devices with a status that is not 0. Most transports are empty, and most machines have
    no device in any, so QEMU is asked first."""
    devices = [text(fields(device)["path"]) for device in items(monitor.execute("x-query-virtio"))]
    if all(path.endswith(_BEHIND_PCI) for path in devices):
        return []
    found = []
    for transport in sorted(monitor.regions.get("virtio-mmio", [])):
        if status := monitor.word(transport + _STATUS):
            device = f"virtio-mmio device at {transport:#x}"
            found.append(LeftOn(device, "status", status, "not reset", transport + _STATUS))
    return found
