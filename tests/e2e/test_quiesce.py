# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel had switched on is off at the next kernel's first instruction, as QEMU's registers
show it: whatever the guest says of it is not believed."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict

RULE = "KHR-I123"

# A device at function 1, one behind a bridge, and one behind a bridge on an extra root bus.
EXTRA_ROOT = (
    *("-device", "pxb-pcie,id=extra,bus_nr=64,bus=pcie.0"),
    *("-device", "pcie-root-port,id=far,bus=extra,chassis=1"),
    *("-device", "edu,bus=far"),
)
BRIDGES = (
    *("-device", "pcie-root-port,id=near,bus=pcie.0,chassis=2,multifunction=on,addr=5.0"),
    *("-device", "edu,bus=near"),
    *("-device", "edu,bus=pcie.0,addr=5.1"),
)
PCI = EXTRA_ROOT + BRIDGES
PCI_FUNCTIONS = {"00:05.0", "00:05.1", "01:00.0", "40:00.0", "41:00.0"}
VIRTIO = ("-device", "virtio-rng-device")

SEEN = {
    "x86_64": ["PCI functions", "virtio devices", "IOMMU", "serial port", "PIT", "HPET",
               "local APIC", "I/O APIC and 8259"],
    "arm64": ["PCI functions", "virtio devices", "IOMMU", "serial port", "GIC and timers"],
}  # fmt: skip

Event = dict[str, Any]


def looks(result: RigResult) -> list[Event]:
    """What the host read at each `entry` after a jump."""
    return [record for record in result.records if record["ev"] == "devices"]


def quiesced(result: RigResult, generation: int) -> dict[str, int]:
    """What a kernel says it switched off, in its order."""
    said = [event for event in result.events("quiesce") if event["gen"] == generation]
    return {event["what"]: event["count"] for event in said}


@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize(
    ("machine", "extra_qemu"),
    [
        ("q35", PCI),
        ("pc", ("-device", "pci-bridge,id=near,chassis_nr=1", "-device", "edu,bus=near,addr=1.0")),
        ("microvm", VIRTIO),
        ("virt", PCI + VIRTIO),
        ("virt", ("-machine", "virtualization=on", *PCI)),
        ("virt", ("-machine", "its=off")),
    ],
    ids=["q35", "pc", "microvm", "virt", "virt-el2", "virt-no-its"],
)
def test_everything_is_off_at_entry(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...], cpus: int
) -> None:
    result = rig.run(machine, "chain", smp=cpus, extra_qemu=extra_qemu)
    result.expect_pass()
    assert [look["gen"] for look in looks(result)] == [2, 3]
    for look in looks(result):
        assert look["seen"] == SEEN[result.spec.arch]
        assert (look["left_on"], look["unread"]) == ([], [])
    controllers = 1  # the local APIC
    if machine == "virt":  # distributor, CPU interface, ITS, and the LPIs of each CPU
        controllers = 3 + cpus - ("its=off" in extra_qemu)
    for generation in (1, 2):
        counts = quiesced(result, generation)
        assert counts["timers"] and counts["interrupt lines"]
        assert counts["interrupt controllers"] == controllers
        assert bool(counts["bus masters"]) == (machine != "microvm")
        assert bool(counts["virtio devices"]) == (VIRTIO[1] in extra_qemu)


@each_arch
def test_dma_is_off_before_interrupt_controllers(rig: Rig, machine: str) -> None:
    """MSIs are DMA."""
    result = rig.run(machine, "chain", generations=2)
    result.expect_pass()
    order = list(quiesced(result, 1))
    assert order == [
        *("virtio devices", "watchdogs", "DMA transfers", "bus masters", "console interrupt"),
        *("timers", "interrupt lines", "interrupt controllers"),
    ]


@pytest.mark.parametrize(
    ("machine", "extra_qemu"),
    [
        ("virt", ("-machine", "gic-version=2")),
        ("virt", ("-machine", "gic-version=2,virtualization=on")),
    ],
    ids=["gicv2", "gicv2-el2"],
)
def test_a_gicv2_is_off_where_it_can_be_read(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...]
) -> None:
    """QEMU's registers of a GICv2 depend on the CPU that reads; with one CPU they can be read."""
    for cpus, unread in ((1, 0), (2, 1)):
        result = rig.run(machine, "chain", smp=cpus, generations=2, extra_qemu=extra_qemu)
        result.expect_pass()
        (look,) = looks(result)
        assert len(look["unread"]) == unread, look
        assert quiesced(result, 1)["interrupt controllers"] == 2


def left_on(rig: Rig, machine: str, fault: str, *extra_qemu: str, cpus: int = 1) -> list[Event]:
    """What a run with that fault finds on at the second generation's `entry`."""
    result = rig.run(machine, "chain", generations=2, smp=cpus, fault=fault, extra_qemu=extra_qemu)
    assert result.verdict is Verdict.FAIL
    first = result.findings[0]
    assert (first.rule, first.generation, first.stop) == (RULE, 2, "entry"), first
    (look,) = looks(result)
    assert {found.owner for found in result.findings} == {on["device"] for on in look["left_on"]}
    found: list[Event] = look["left_on"]
    return found


@each_arch
def test_bus_masters_are_found_wherever_they_are(rig: Rig, machine: str) -> None:
    found = left_on(rig, machine, "bus-master-left-on", *PCI)
    names = {on["device"].removeprefix("PCI function ") for on in found}
    assert PCI_FUNCTIONS <= names, names
    assert all(on["register"] == "command" and on["value"] & 4 for on in found)


def test_bus_masters_are_found_without_ecam(rig: Rig) -> None:
    found = left_on(rig, "pc", "bus-master-left-on", "-device", "edu,addr=7.0")
    assert "PCI function 00:07.0" in {on["device"] for on in found}
    assert all(on["address"] is None for on in found)


@pytest.mark.parametrize("machine", ["microvm", "virt"])
def test_virtio_devices_in_use_are_found(rig: Rig, machine: str) -> None:
    found = left_on(rig, machine, "virtio-left-on", *VIRTIO)
    # A buffer was used, and the device asserts its interrupt.
    at_device = [on for on in found if "virtio" in on["device"]]
    assert [(on["register"], on["value"]) for on in at_device] == [("status", 7), ("ISR", 1)]
    assert found[0]["device"].startswith("virtio-mmio device at 0x")


def registers(found: list[Event]) -> set[str]:
    return {f"{on['device']} {on['register']}" for on in found}


def test_timers_of_a_pc_are_found(rig: Rig) -> None:
    found = registers(left_on(rig, "q35", "timer-left-armed"))
    assert found == {
        "PIT channel 0 status",
        "HPET configuration",
        "HPET timer 0 configuration",
        "local APIC of CPU 0 LVTT",
        "local APIC of CPU 0 initial count",
    }


@pytest.mark.parametrize(
    ("options", "timers"),
    [
        ("virtualization=off", {"virtual", "physical"}),
        # The line of a fourth one, for VHE, is missing in QEMU 7.2.
        ("virtualization=on", {"virtual", "physical", "EL2 physical"}),
    ],
)
def test_generic_timers_are_found(rig: Rig, options: str, timers: set[str]) -> None:
    found = left_on(rig, "virt", "timer-left-armed", "-machine", options)
    names = {on["device"].removesuffix(" timer of CPU 0") for on in found}
    assert names - {"EL2 virtual"} == timers


def test_open_lines_of_a_pc_are_found(rig: Rig) -> None:
    found = registers(left_on(rig, "q35", "interrupt-left-unmasked"))
    pins = {f"ioapic0 redirection entry {pin}" for pin in range(24)}
    masks = {"the 8259 master IMR", "the 8259 slave IMR"}
    local = {f"local APIC of CPU 0 {name}" for name in ("LVT0", "LVTERR")}
    assert found == pins | masks | local


def test_open_lines_of_a_gic_are_found(rig: Rig) -> None:
    found = registers(left_on(rig, "virt", "interrupt-left-unmasked", cpus=2))
    lines = {f"GIC distributor GICD_ISENABLER{word}" for word in range(1, 8)}
    own = {f"GIC redistributor of CPU {cpu} GICR_ISENABLER0" for cpu in range(2)}
    assert found == lines | own


def test_a_local_apic_left_on_is_found(rig: Rig) -> None:
    found = left_on(rig, "q35", "interrupt-controller-left-on")
    assert registers(found) == {"local APIC of CPU 0 SPIV"}


def test_a_gic_left_on_is_found(rig: Rig) -> None:
    found = left_on(rig, "virt", "interrupt-controller-left-on", cpus=2)
    lpis = {f"GIC redistributor of CPU {cpu} GICR_CTLR" for cpu in range(2)}
    assert registers(found) == {"GIC distributor GICD_CTLR", "GIC ITS 0 GITS_CTLR"} | lpis


def test_a_fault_without_a_device_does_not_fire(rig: Rig) -> None:
    result = rig.run("q35", "chain", generations=2, fault="virtio-left-on")
    assert [found.rule for found in result.findings] == ["KHR-I118"]
