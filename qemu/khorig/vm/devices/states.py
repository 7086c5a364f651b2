# SPDX-License-Identifier: BSD-3-Clause
"""All device states of a machine."""

from __future__ import annotations

from typing import Callable, Mapping

from khorig.guest.machine import DeviceStates, LeftOn
from khorig.mem.untrusted import Untrusted
from khorig.vm.devices.apic import read_local_apic, read_pic
from khorig.vm.devices.console import read_16550, read_pl011
from khorig.vm.devices.gic import read_gic
from khorig.vm.devices.iommu import read_smmu, read_vtd
from khorig.vm.devices.monitor import DeviceMonitor
from khorig.vm.devices.pci import read_pci
from khorig.vm.devices.timers import read_hpet, read_pit
from khorig.vm.devices.virtio import read_virtio
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp, QmpClosed

_Reader = Callable[[DeviceMonitor], list[LeftOn]]
_ANY: Mapping[str, _Reader] = {
    "PCI functions": read_pci,
    "virtio devices": read_virtio,
}
_READERS: Mapping[str, Mapping[str, _Reader]] = {
    "x86_64": {
        **_ANY,
        "IOMMU": read_vtd,
        "serial port": read_16550,
        "PIT": read_pit,
        "HPET": read_hpet,
        "local APIC": read_local_apic,
        "I/O APIC and 8259": read_pic,
    },
    "arm64": {
        **_ANY,
        "IOMMU": read_smmu,
        "serial port": read_pl011,
        "GIC and timers": read_gic,
    },
}


def read_devices(qmp: Qmp, arch: str) -> DeviceStates:
    """What is on. What QEMU does not tell is named, and no error. Raises QmpClosed, Interrupted."""
    monitor = DeviceMonitor(qmp)
    seen, left_on, unread = [], [], []
    for name, read in _READERS[arch].items():
        try:
            left_on += read(monitor)
            seen.append(name)
        except QmpClosed:
            raise
        except (InfraError, Untrusted, LookupError) as error:
            unread.append(f"{name}: {error}")
    return DeviceStates(tuple(seen), tuple(left_on), tuple(unread))
