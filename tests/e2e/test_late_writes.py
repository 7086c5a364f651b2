# SPDX-License-Identifier: BSD-3-Clause
"""Devices that a kernel has left at work write, and expire, in the next one; the host finds what
they did and calls it by its name. That each is quiesced otherwise is a matter of the axes."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict

LATE = ("sealed", "restored", "settled")  # nobody looks at registers
SMALL = "megabytes=8"
RATE = "max-bytes=64,period=1000"
EDU = ("-device", "edu,dma_mask=0xffffffff")


@pytest.mark.parametrize(
    ("machine", "device", "by"),
    [
        ("q35", "virtio-rng-pci", "PCI function 00:01.0"),
        ("microvm", "virtio-rng-device", "virtio-mmio device at 0x"),
        ("virt", "virtio-rng-device", "virtio-mmio device at 0x"),
    ],
)
def test_a_buffer_left_posted_is_written_by_a_device(
    rig: Rig, machine: str, device: str, by: str
) -> None:
    result = rig.run(
        machine, generations=2, fault="buffers-left-posted", stops=LATE,
        extra_options=(SMALL, "settle=2000"), extra_qemu=("-device", f"{device},{RATE}"),
    )  # fmt: skip
    found = result.findings[0]
    assert (found.rule, found.stop) == ("KHR-I097", "settled"), str(result)
    assert by in found.evidence[0]
    assert found.changed is not None and found.changed.stop == "restored"


@each_arch
def test_a_transfer_left_running_is_written_by_a_device(rig: Rig, machine: str) -> None:
    result = rig.run(
        machine, generations=2, fault="dma-left-running", stops=LATE,
        extra_options=(SMALL,), extra_qemu=EDU,
    )  # fmt: skip
    found = result.findings[0]
    assert (found.rule, found.stop) == ("KHR-I097", "settled"), str(result)
    assert "PCI function 00:0" in found.evidence[0]


@each_arch
def test_a_watchdog_that_expires_is_named(rig: Rig, machine: str) -> None:
    result = rig.run(
        machine, generations=2, fault="watchdog-left-armed", stops=LATE,
        extra_options=(SMALL, "settle=3000"), extra_qemu=("-device", "i6300esb"),
    )  # fmt: skip
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert (found.rule, found.generation) == ("KHR-I123", 2)
    assert found.what == "watchdog PCI function 00:01.0 expired: it was left armed by generation 1"


@each_arch
def test_a_pending_interrupt_is_found(rig: Rig, machine: str) -> None:
    result = rig.run(machine, generations=2, fault="interrupt-left-pending")
    owners = [found.owner for found in result.findings]
    assert owners[0] == "serial port" and result.findings[0].rule == "KHR-I123"
    # QEMU's GIC shows the line, masked as it is.
    assert ("GIC distributor" in owners) == (machine == "virt")


@each_arch
def test_the_window_is_virtual_time(rig: Rig, machine: str) -> None:
    stops = ("sealed", "entry", "restored", "settled")
    options = (SMALL, "settle=5000")
    result = rig.run(machine, generations=3, stops=stops, extra_options=options, extra_qemu=EDU)
    result.expect_pass()
    slept = [event["slept"] for event in result.events("stop") if event["at"] == "settled"]
    assert len(slept) == 2
    assert all(5_000_000_000 <= ns < 5_001_000_000 for ns in slept)


def test_who_names_the_device(rig: Rig) -> None:
    result = rig.run(
        "q35", generations=2, fault="buffers-left-posted", stops=LATE, record=True,
        extra_options=(SMALL, "settle=2000"),
        extra_qemu=("-device", f"virtio-rng-pci,{RATE}"),
    )  # fmt: skip
    assert result.recorded.startswith("reproduced"), result.recorded
    who = result.who
    assert who is not None and not who.stores
    said = who.lines[0]
    assert said.startswith("no CPU stored there since restored in generation 2: device: ")
    assert "PCI function 00:01.0" in said and "64 bytes at" in said
