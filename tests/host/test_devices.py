# SPDX-License-Identifier: BSD-3-Clause
"""Device registers are read from QEMU's answers, of which some are here as QEMU 7.2 gave them."""

from __future__ import annotations

from typing import Any

import pytest
from qemu_answers import GICV2, LAPIC, MTREE, PC, PIC, QUIET, VIRT, FakeQmp

from khorig.guest.machine import BUS_MASTER, INTERRUPT, NOT_RESET, DeviceStates, LeftOn
from khorig.vm.devices.monitor import DeviceMonitor
from khorig.vm.devices.pci import watchdogs
from khorig.vm.devices.states import read_devices
from khorig.vm.errors import InfraError
from khorig.vm.qmp import QmpClosed


def states(qmp: FakeQmp, arch: str, cpus: int = 1) -> DeviceStates:
    qmp.answers["query-cpus-fast"] = [{"cpu-index": number} for number in range(cpus)]
    return read_devices(qmp, arch)  # type: ignore[arg-type]


def left_on(found: DeviceStates) -> dict[str, int]:
    assert found.unread == ()
    return {f"{on.device} {on.register}": on.value for on in found.left_on}


def function(bus: int, slot: int, number: int, **bridge: Any) -> dict[str, Any]:
    ids = {"vendor": 0x1B36, "device": 8}
    return {"bus": bus, "slot": slot, "function": number, "id": ids, **bridge}


def bridge(bus: int, slot: int, secondary: int, *behind: dict[str, Any]) -> dict[str, Any]:
    numbers = {"number": bus, "secondary": secondary, "subordinate": secondary}
    return function(bus, slot, 0, pci_bridge={"bus": numbers, "devices": list(behind)})


PCI_TREE = [
    {"bus": 64, "devices": [bridge(64, 0, 65, function(65, 0, 0))]},
    {
        "bus": 0,
        "devices": [
            function(0, 0, 0),
            function(0, 31, 3),
            bridge(0, 2, 1, bridge(1, 0, 2, function(2, 4, 7))),
            bridge(0, 3, 0, function(0, 0, 0)),  # nobody numbered it
        ],
    },
]
FUNCTIONS = ["00:00.0", "00:02.0", "00:03.0", "00:1f.3", "01:00.0", "02:04.7", "40:00.0", "41:00.0"]


def test_nothing_is_on() -> None:
    for arch, memory, count in (("x86_64", PC, 8), ("arm64", VIRT, 5)):
        found = states(FakeQmp(memory, {}), arch)
        assert (found.left_on, found.unread) == ((), ())
        assert len(found.seen) == count


@pytest.mark.parametrize("kind", ["i/o", "container"])  # QEMU 7.2 and 10.0; QEMU 11.1
def test_bus_masters_in_ecam(kind: str) -> None:
    base = 0x4010000000
    every = {base | 2 << 20 | 4 << 15 | 7 << 12 | 4: 0x00100106, base | 64 << 20 | 4: 0xFFF70003}
    memory = VIRT.replace("i/o): pcie", f"{kind}): pcie")
    found = states(_pci(memory, every), "arm64")
    assert left_on(found) == {"PCI function 02:04.7 command": 0x0106}
    assert found.left_on[0].address == base | 2 << 20 | 4 << 15 | 7 << 12 | 4


def _pci(memory: str, words: dict[int, int]) -> FakeQmp:
    qmp = FakeQmp(memory, words)
    qmp.answers["query-pci"] = PCI_TREE
    return qmp


def test_every_function_is_read_once() -> None:
    qmp = _pci(VIRT, {})
    states(qmp, "arm64")
    read = [int(asked.split()[2], 16) - 0x4010000000 for asked in qmp.asked if "0x401" in asked]
    names = [f"{at >> 20:02x}:{at >> 15 & 31:02x}.{at >> 12 & 7}" for at in read]
    assert names == FUNCTIONS
    assert all(at & 0xFFF == 4 for at in read)


def test_bus_masters_by_ports_leave_the_address_port_as_it_was() -> None:
    qmp = _pci("", {})
    qmp.answers["i /w 0xcf8"] = "portl[0x0cf8] = 0x80001234"
    qmp.answers["i /w 0xcfc"] = "portl[0x0cfc] = 0x00100004"
    found = states(qmp, "x86_64")
    assert [on.device.split()[2] for on in found.left_on] == FUNCTIONS
    written = [asked for asked in qmp.asked if asked.startswith("o /w 0xcf8")]
    assert written[0] == "o /w 0xcf8 0x80000004"
    assert "o /w 0xcf8 0x80022704" in written  # 02:04.7
    assert written[-1] == "o /w 0xcf8 0x80001234"


_BARS = [{"type": "memory", "address": -1}, {"type": "io", "address": -1}]
WATCHDOG = {**function(0, 5, 0), "id": {"vendor": 0x8086, "device": 0x25AB}, "regions": _BARS}


@pytest.mark.parametrize(
    "command, lock, on",
    [
        (0x00100000, 2, {"lock": 2}),
        (0x00100000, 1, {}),  # locked, and off
        (0x00080000, 0, {"status": 8}),
        (0x00080400, 0, {}),  # the command forbids interrupts
        (0x00180007, 3, {"command": 7, "status": 0x18, "lock": 3}),
    ],
)
def test_a_watchdog_and_a_pending_interrupt(command: int, lock: int, on: dict[str, int]) -> None:
    expected = {f"PCI function 00:05.0 {register}": value for register, value in on.items()}
    ecam = FakeQmp(VIRT, {0x4010028004: command, 0x4010028068: lock})
    ports = FakeQmp("", {})
    ports.answers["i /w 0xcf8"] = "portl[0x0cf8] = 0x00000000"
    ports.answers["i /w 0xcfc"] = f"portl[0x0cfc] = {command:#010x}"
    ports.answers["i /b 0xcfc"] = f"portb[0x0cfc] = {lock:#04x}"
    for qmp, arch in ((ecam, "arm64"), (ports, "x86_64")):
        qmp.answers["query-pci"] = [{"bus": 0, "devices": [WATCHDOG]}]
        assert left_on(states(qmp, arch)) == expected
    assert "o /w 0xcf8 0x80002868" in ports.asked


def test_watchdogs_are_named() -> None:
    qmp = _pci(VIRT, {})
    assert watchdogs(DeviceMonitor(qmp)) == []  # type: ignore[arg-type]
    qmp.answers["query-pci"] = [{"bus": 0, "devices": [function(0, 4, 0), WATCHDOG]}]
    assert watchdogs(DeviceMonitor(qmp)) == ["PCI function 00:05.0"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "enabled, status, pending",
    [(2, 0x60, True), (2, 0, False), (1, 0x61, True), (1, 0x60, False), (3, 0x60, True)],
)
def test_the_serial_port_of_a_pc(enabled: int, status: int, pending: bool) -> None:
    qmp = FakeQmp(PC, {})
    qmp.answers["i /b 0x3f9"] = f"portb[0x03f9] = {enabled:#04x}"
    qmp.answers["i /b 0x3fd"] = f"portb[0x03fd] = {status:#04x}"
    (on,) = states(qmp, "x86_64").left_on
    assert (on.device, on.register, on.value) == ("serial port", "IER", enabled)
    assert (on.why == INTERRUPT) == pending


def test_the_serial_port_of_virt() -> None:
    assert left_on(states(FakeQmp(VIRT, {0x9000040: 0x20}), "arm64")) == {"serial port UARTMIS": 32}


def test_those_that_can_write() -> None:
    on = [("b", BUS_MASTER), ("a", "watchdog armed"), ("c", NOT_RESET), ("b", BUS_MASTER)]
    states = DeviceStates(left_on=tuple(LeftOn(name, "", 0, why) for name, why in on))
    assert states.writers == ("b", "c")


@pytest.mark.parametrize(
    "names, status",
    [
        ([], 0),
        (["VIRTIO_CONFIG_S_ACKNOWLEDGE: Valid virtio device found"], 1),
        (["VIRTIO_CONFIG_S_DRIVER_OK: ready", "VIRTIO_CONFIG_S_FEATURES_OK: done"], 12),
    ],
)
def test_virtio_behind_pci(names: list[str], status: int) -> None:
    path = "/machine/peripheral-anon/device[0]"
    qmp = FakeQmp(VIRT, {})
    qmp.answers["x-query-virtio"] = [{"path": f"{path}/virtio-backend"}]
    qmp.answers["x-query-virtio-status"] = {"status": {"statuses": names}}
    device = f"virtio device {path} behind PCI status"
    assert left_on(states(qmp, "arm64")) == ({device: status} if status else {})


def test_a_virtio_status_of_another_qemu_is_not_read() -> None:
    qmp = FakeQmp(VIRT, {})
    qmp.answers["x-query-virtio"] = [{"path": "/a/virtio-backend"}]
    for status in ({"statuses": ["VIRTIO_CONFIG_S_NEW: ?"]}, {"statuses": [1]}, []):
        qmp.answers["x-query-virtio-status"] = {"status": status}
        assert states(qmp, "arm64").unread[0].startswith("virtio devices: ")


def test_virtio() -> None:
    words = {0xA000070: 0, 0xA000270: 0xF}
    qmp = FakeQmp(VIRT, words)
    behind = {"path": "/machine/peripheral-anon/device[0]/virtio-backend"}
    qmp.answers["x-query-virtio-status"] = {"status": {"statuses": []}}
    qmp.answers["x-query-virtio"] = [behind]
    assert left_on(states(qmp, "arm64")) == {}  # it is behind PCI
    qmp.answers["x-query-virtio"] = [behind, {"path": "/machine/peripheral-anon/device[1]"}]
    assert left_on(states(qmp, "arm64")) == {"virtio-mmio device at 0xa000200 status": 0xF}
    words[0xA000260] = 1
    assert left_on(states(qmp, "arm64"))["virtio-mmio device at 0xa000200 ISR"] == 1


@pytest.mark.parametrize("status, on", [(0x30, False), (0x38, False), (0x34, True), (0x36, True)])
def test_the_pit_is_on_while_it_is_periodic(status: int, on: bool) -> None:
    qmp = FakeQmp(PC, {})
    qmp.answers["i /b 0x40"] = f"portb[0x0040] = {status:#04x}"
    assert left_on(states(qmp, "x86_64")) == ({"PIT channel 0 status": status} if on else {})
    assert "o /b 0x43 0xe2" in qmp.asked


@pytest.mark.parametrize(
    "offset, value, register",
    [
        (0x10, 1, "configuration"),
        (0x10, 2, "configuration"),
        (0x100, 0x8134, "timer 0 configuration"),
        (0x100, 0x8130, ""),
    ],
)
def test_the_hpet(offset: int, value: int, register: str) -> None:
    found = left_on(states(FakeQmp(PC, {0xFED00000 + offset: value}), "x86_64"))
    assert found == ({f"HPET {register}": value} if register else {})


@pytest.mark.parametrize(
    "field, value, register",
    [
        ("lvt0", 0x700, "LVT0"),
        ("lvtt", 0x200F0, "LVTT"),
        ("count", 7, "initial count"),
        ("spiv", 0x1FF, "SPIV"),
    ],
)
def test_the_local_apic(field: str, value: int, register: str) -> None:
    qmp = FakeQmp(PC, {})
    qmp.answers["info lapic 0"] = LAPIC.format(**{**QUIET, field: value})
    assert left_on(states(qmp, "x86_64")) == {f"local APIC of CPU 0 {register}": value}


def test_the_io_apic_and_the_8259() -> None:
    qmp = FakeQmp(PC, {})
    qmp.answers["info pic"] = PIC.format(pin=0xF0, slave="fe")
    assert left_on(states(qmp, "x86_64")) == {
        "ioapic0 redirection entry 23": 0xF0,
        "the 8259 slave IMR": 0xFE,
    }


@pytest.mark.parametrize(
    "address, value, what",
    [
        (0x8000000, 0x52, "GIC distributor GICD_CTLR"),
        (0x8000104, 1, "GIC distributor GICD_ISENABLER1"),
        (0x8000108, 1 << 31, "GIC distributor GICD_ISENABLER2"),
        (0x8000204, 2, "GIC distributor GICD_ISPENDR1"),
        (0x8000208, 2, "GIC distributor GICD_ISPENDR2"),
        (0x800020C, 2, ""),
        (0x80A0000, 3, "GIC redistributor of CPU 0 GICR_CTLR"),
        (0x80C0000, 3, "GIC redistributor of CPU 1 GICR_CTLR"),
        (0x80B0100, 1 << 27, "GIC redistributor of CPU 0 GICR_ISENABLER0"),
        (0x80D0100, 1, "GIC redistributor of CPU 1 GICR_ISENABLER0"),
        (0x80D0200, 1 << 27, "virtual timer of CPU 1 GICR_ISPENDR0"),
        (0x80B0200, 1 << 30, "physical timer of CPU 0 GICR_ISPENDR0"),
        (0x80B0200, 1 << 26, "EL2 physical timer of CPU 0 GICR_ISPENDR0"),
        (0x8080000, 0x80000001, "GIC ITS 0 GITS_CTLR"),
        (0x8000000, 0x50, ""),
        (0x80A0000, 2, ""),
        (0x8080000, 0x80000000, ""),
        (0x80B0200, 1 << 29, ""),  # of the secure world
        (0x800010C, 1, ""),  # beyond what the type register has
    ],
)
def test_gicv3(address: int, value: int, what: str) -> None:
    words = {0x8000004: 2, address: value}
    assert left_on(states(FakeQmp(VIRT, words), "arm64", 2)) == ({what: value} if what else {})


@pytest.mark.parametrize(
    "address, value, what",
    [
        (0x8000000, 1, "GIC distributor GICD_CTLR"),
        (0x8000100, 0x1FFFF, "GIC distributor GICD_ISENABLER0"),
        (0x8000100, 0xFFFF, ""),  # SGIs are always enabled
        (0x8010000, 1, "GIC CPU interface GICC_CTLR"),
    ],
)
def test_gicv2(address: int, value: int, what: str) -> None:
    found = left_on(states(FakeQmp(GICV2, {address: value}), "arm64"))
    assert list(found) == ([what] if what else [])


def test_a_gicv2_of_several_cpus_is_not_touched() -> None:
    """QEMU takes the registers of the CPU that reads, and the monitor is none: it would crash."""
    qmp = FakeQmp(GICV2, {})
    found = states(qmp, "arm64", 2)
    assert found.unread == ("GIC and timers: registers of a GICv2 depend on the CPU that reads",)
    assert not [asked for asked in qmp.asked if asked.startswith("xp")]


@pytest.mark.parametrize(
    "arch, command, answer, unread",
    [
        ("x86_64", "info lapic 0", "unknown command: 'info lapic'", "local APIC"),
        ("x86_64", "info lapic 0", LAPIC.format(**QUIET).replace("Timer", "Clock"), "local APIC"),
        ("x86_64", "info pic", "", "I/O APIC and 8259"),
        ("x86_64", "info pic", "ioapic0: ver=0x20\r\n", "I/O APIC and 8259"),
        ("x86_64", "i /b 0x40", "no", "PIT"),
        ("x86_64", "query-pci", [{"bus": 0}], "PCI functions"),
        ("x86_64", "query-pci", InfraError("QMP error"), "PCI functions"),
        ("arm64", "x-query-virtio", [{}], "virtio devices"),
        ("arm64", "info mtree -f", MTREE.format(""), "GIC and timers"),
    ],
)
def test_what_cannot_be_read_is_named(arch: str, command: str, answer: Any, unread: str) -> None:
    qmp = FakeQmp(PC if arch == "x86_64" else VIRT, {})
    qmp.answers[command] = answer
    found = states(qmp, arch)
    assert [text.split(":")[0] for text in found.unread] == [unread]
    assert unread not in found.seen and found.seen


def test_an_unknown_address_map_is_named_by_all_who_need_it() -> None:
    qmp = FakeQmp(PC, {})
    qmp.answers["info mtree -f"] = "FlatView #0\n"
    assert len(states(qmp, "arm64").unread) == 3


def test_an_iommu_that_translates() -> None:
    """Its topmost table is what the registers name, and nothing is on that does not translate."""
    vtd = "  00000000fed90000-00000000fed90fff (prio 0, i/o): intel_iommu\n"
    smmu = "  0000000009050000-000000000906ffff (prio 0, i/o): arm-smmuv3\n"
    for arch, memory, registers, expected in (
        ("x86_64", PC + vtd, {0xFED9001C: 3 << 30, 0xFED90020: 0x7000}, ("VT-d", 0xFED90000)),
        ("arm64", VIRT + smmu, {0x9050020: 1, 0x9050080: 0x7000}, ("SMMUv3", 0x9050000)),
    ):
        (left,) = states(FakeQmp(memory, registers), arch).left_on
        assert (left.device, left.address) == expected
        assert (left.tables, left.value, left.why) == (0x7000, 0x7000, "translation on")
        off = {address: value for address, value in registers.items() if value == 0x7000}
        assert states(FakeQmp(memory, off), arch).left_on == ()


def test_the_end_of_qemu_is_no_device_that_cannot_be_read() -> None:
    qmp = FakeQmp(PC, {})
    qmp.answers["info pic"] = QmpClosed("gone")
    with pytest.raises(QmpClosed):
        states(qmp, "x86_64")
