# SPDX-License-Identifier: BSD-3-Clause
"""Arm's interrupt controllers, and through their lines the generic timers."""

from __future__ import annotations

from khorig.guest.machine import INTERRUPT, LeftOn
from khorig.vm.devices.monitor import DeviceMonitor, Unreadable

_CONTROL, _TYPE = 0x0, 0x4
_GROUPS = 7
_ENABLED, _PENDING = 0x100, 0x200
_LINES = 0x1F
_DEVICE_WORDS = (1, 2)  # of the lines that QEMU's virt gives to devices
_SGIS = 0xFFFF
_LPIS = 1
_ITS_ON = 1
_FRAME = 0x10000
_REDISTRIBUTOR = 2 * _FRAME  # QEMU's have two frames
_CPU_INTERFACE = 0
# Private interrupts of the generic timers (Arm BSA).
_TIMERS = {26: "EL2 physical", 27: "virtual", 28: "EL2 virtual", 30: "physical"}


def read_gic(monitor: DeviceMonitor) -> list[LeftOn]:
    """Distributor, redistributors or CPU interface, and each ITS."""
    if (distributor := monitor.region("gicv3_dist")) is not None:
        return [
            *_distributor(monitor, distributor, first=1),
            *_redistributors(monitor),
            *_its(monitor),
        ]
    if (distributor := monitor.region("gic_dist")) is None:
        raise Unreadable("no GIC among QEMU's devices: it may be the host's")
    if monitor.cpus > 1:
        raise Unreadable("registers of a GICv2 depend on the CPU that reads")
    interface = monitor.region("gic_cpu")
    if interface is None:
        raise Unreadable("a GICv2 without CPU interface")
    found = _distributor(monitor, distributor, first=0)
    if (value := monitor.word(interface + _CPU_INTERFACE)) & _GROUPS:
        found.append(LeftOn("GIC CPU interface", "GICC_CTLR", value, "enabled", interface))
    return found


def _distributor(monitor: DeviceMonitor, base: int, first: int) -> list[LeftOn]:
    found = []
    if (value := monitor.word(base + _CONTROL)) & _GROUPS:
        found.append(LeftOn("GIC distributor", "GICD_CTLR", value, "enabled", base))
    last = monitor.word(base + _TYPE) & _LINES
    for word in range(first, last + 1):
        address = base + _ENABLED + 4 * word
        # The SGIs of a GICv2 cannot be disabled.
        if value := monitor.word(address) & ~(0 if word else _SGIS):
            register = f"GICD_ISENABLER{word}"
            found.append(LeftOn("GIC distributor", register, value, "line enabled", address))
    for word in _DEVICE_WORDS:
        address = base + _PENDING + 4 * word
        if word <= last and (value := monitor.word(address)):
            register = f"GICD_ISPENDR{word}"
            found.append(LeftOn("GIC distributor", register, value, INTERRUPT, address))
    return found


def _redistributors(monitor: DeviceMonitor) -> list[LeftOn]:
    bases = [
        region + offset
        for name, regions in sorted(monitor.regions.items())
        if name.startswith("gicv3_redist_region")
        for region in regions
        for offset in range(0, monitor.cpus * _REDISTRIBUTOR, _REDISTRIBUTOR)
    ]
    if not bases:
        raise Unreadable("a GICv3 without redistributors")
    found = []
    for number, base in enumerate(bases[: monitor.cpus]):
        device = f"GIC redistributor of CPU {number}"
        if (value := monitor.word(base + _CONTROL)) & _LPIS:
            found.append(LeftOn(device, "GICR_CTLR", value, "LPIs enabled", base))
        address = base + _FRAME + _ENABLED
        if value := monitor.word(address):
            found.append(LeftOn(device, "GICR_ISENABLER0", value, "line enabled", address))
        found += _timers(number, monitor.word(base + _FRAME + _PENDING), base + _FRAME + _PENDING)
    return found


def _timers(cpu: int, pending: int, address: int) -> list[LeftOn]:
    """A timer that is on and has expired holds its line, whether that is enabled or not."""
    return [
        LeftOn(f"{name} timer of CPU {cpu}", "GICR_ISPENDR0", pending, "timer armed", address)
        for line, name in _TIMERS.items()
        if pending >> line & 1
    ]


def _its(monitor: DeviceMonitor) -> list[LeftOn]:
    found = []
    for number, base in enumerate(sorted(monitor.regions.get("control", []))):
        if (value := monitor.word(base + _CONTROL)) & _ITS_ON:
            found.append(LeftOn(f"GIC ITS {number}", "GITS_CTLR", value, "enabled", base))
    return found
