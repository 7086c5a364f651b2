# SPDX-License-Identifier: BSD-3-Clause
"""Virtio devices that were not reset."""

from __future__ import annotations

from khorig.guest.machine import INTERRUPT, NOT_RESET, LeftOn
from khorig.mem.untrusted import fields, items, text, texts
from khorig.vm.devices.monitor import DeviceMonitor, Unreadable

_STATUS, _INTERRUPT_STATUS = 0x70, 0x60
_BEHIND_PCI = "/virtio-backend"  # how QEMU names what a PCI function contains
_BITS = {
    "VIRTIO_CONFIG_S_ACKNOWLEDGE": 1,
    "VIRTIO_CONFIG_S_DRIVER": 2,
    "VIRTIO_CONFIG_S_DRIVER_OK": 4,
    "VIRTIO_CONFIG_S_FEATURES_OK": 8,
    "VIRTIO_CONFIG_S_NEEDS_RESET": 0x40,
    "VIRTIO_CONFIG_S_FAILED": 0x80,
}


def read_virtio(monitor: DeviceMonitor) -> list[LeftOn]:
    """The devices with a status that is not 0. Most transports are empty, and most machines have
    no device in any, so QEMU is asked first."""
    devices = [text(fields(device)["path"]) for device in items(monitor.execute("x-query-virtio"))]
    behind = sorted(path for path in devices if path.endswith(_BEHIND_PCI))
    found = [] if len(behind) == len(devices) else _by_mmio(monitor)
    for path in behind:
        found += _by_pci(monitor, path)
    return found


def _by_mmio(monitor: DeviceMonitor) -> list[LeftOn]:
    found = []
    for transport in sorted(monitor.regions.get("virtio-mmio", [])):
        device = f"virtio-mmio device at {transport:#x}"
        if status := monitor.word(transport + _STATUS):
            found.append(LeftOn(device, "status", status, NOT_RESET, transport + _STATUS))
            pending = monitor.word(transport + _INTERRUPT_STATUS)
            if pending:
                at = transport + _INTERRUPT_STATUS
                found.append(LeftOn(device, "ISR", pending, INTERRUPT, at))
    return found


def _by_pci(monitor: DeviceMonitor, path: str) -> list[LeftOn]:
    """A device's registers are in a BAR, which may have no address, so QEMU is asked. That its
    interrupt is pending is in the function's configuration space."""
    answer = fields(monitor.execute("x-query-virtio-status", path=path))
    named = texts(fields(answer["status"]).get("statuses", []))
    try:
        status = sum(_BITS[name.partition(":")[0]] for name in named)
    except KeyError as error:
        raise Unreadable(f"status {error} of {path}") from error
    if not status:
        return []
    owner = path.removesuffix(_BEHIND_PCI)
    return [LeftOn(f"virtio device {owner} behind PCI", "status", status, NOT_RESET)]
