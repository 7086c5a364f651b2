# SPDX-License-Identifier: BSD-3-Clause
"""IOMMUs that translate."""

from __future__ import annotations

from khorig.guest.machine import LeftOn
from khorig.vm.devices.monitor import DeviceMonitor

# VT-d 3.4, 11.4
_STATUS, _ROOT_TABLE = 0x1C, 0x20
_TRANSLATES = 1 << 31
# SMMUv3 (IHI 0070), 6.3
_CONTROL, _STREAM_TABLE = 0x20, 0x80
_SMMU_ON = 1
_TABLE_ADDRESS = 0x000F_FFFF_FFFF_FFC0


def read_vtd(monitor: DeviceMonitor) -> list[LeftOn]:
    """The remapping unit of a PC, with its root table."""
    base = monitor.region("intel_iommu")
    if base is None or not monitor.word(base + _STATUS) & _TRANSLATES:
        return []
    root = _long(monitor, base + _ROOT_TABLE)
    return [LeftOn("VT-d", "RTADDR", root, "translation on", base, tables=root)]


def read_smmu(monitor: DeviceMonitor) -> list[LeftOn]:
    """The SMMUv3 of virt, with its stream table."""
    base = monitor.region("arm-smmuv3")
    if base is None or not monitor.word(base + _CONTROL) & _SMMU_ON:
        return []
    root = _long(monitor, base + _STREAM_TABLE) & _TABLE_ADDRESS
    return [LeftOn("SMMUv3", "STRTAB_BASE", root, "translation on", base, tables=root)]


def _long(monitor: DeviceMonitor, address: int) -> int:
    return monitor.word(address + 4) << 32 | monitor.word(address)
