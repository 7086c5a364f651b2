# SPDX-License-Identifier: BSD-3-Clause
"""A device writes into a preserved page across three jumps: nothing else changes, no CPU has
written there, and the next kernel takes it over as it works."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.pytest_plugin import each_arch
from khorig.run.needs import UnmetNeed

BEHIND_A_BRIDGE = (
    *("-device", "pcie-root-port,id=near,bus=pcie.0,chassis=2"),
    *("-device", "edu,bus=near,dma_mask=0xffffffff"),
)

IOMMUS = {"q35": ("-device", "intel-iommu"), "virt": ("-machine", "iommu=smmuv3")}


def counters(result: RigResult) -> dict[tuple[int, str], int]:
    """What the host read at each stop."""
    read = [record for record in result.records if record["ev"] == "counter"]
    return {(record["gen"], record["at"]): record["value"] for record in read}


def masters(result: RigResult) -> list[list[str]]:
    """The functions that are on at each `entry` after a jump."""
    looks = [record for record in result.records if record["ev"] == "devices"]
    return [[left["device"] for left in look["left_on"]] for look in looks]


def said(result: RigResult) -> list[dict[str, Any]]:
    return [event for event in result.events("counter")]


@each_arch
def test_the_counter_grows_across_three_jumps(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "live-dma", generations=4)
    result.expect_pass()
    values = counters(result)
    for generation in (1, 2, 3):
        assert values[generation, "sealed"] == generation - 1
        assert values[generation + 1, "restored"] == generation
    # The second jump's transfer ends while the next kernel is copied.
    assert values[3, "entry"] == 2
    assert [event["value"] for event in said(result)] == [1, 2, 3]
    (function,) = {name for names in masters(result) for name in names}
    assert masters(result) == [[function]] * 3


@each_arch
def test_it_may_be_behind_a_bridge(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "live-dma", generations=2, extra_qemu=BEHIND_A_BRIDGE)
    result.expect_pass()
    (names,) = masters(result)
    assert len(names) == 2, "the bridge and the device"


@pytest.mark.parametrize(("machine", "extra_qemu"), list(IOMMUS.items()))
def test_an_iommu_stays_on(rig: Rig, machine: str, extra_qemu: tuple[str, ...]) -> None:
    """Its tables let the device reach the page at an address where there is no RAM."""
    result = rig.run(machine, "live-dma", generations=4, extra_qemu=extra_qemu)
    result.expect_pass()
    assert counters(result)[4, "restored"] == 3
    for names in masters(result):
        assert len(names) == 2 and names[1] in ("VT-d", "SMMUv3")


@pytest.mark.parametrize(("machine", "extra_qemu"), list(IOMMUS.items()))
def test_tables_that_are_not_preserved_are_found(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...]
) -> None:
    fault = "iommu-tables-not-preserved"
    result = rig.run(machine, "live-dma", generations=2, extra_qemu=extra_qemu, fault=fault)
    assert result.findings, "the defect was not found"
    found = result.findings[0]
    assert (found.rule, found.generation, found.stop) == ("KHR-I069", 1, "sealed"), found
    assert found.owner in ("tables of vtd", "tables of smmuv3")


@each_arch
def test_several_cpus(rig: Rig, machine: str) -> None:
    rig.run(machine, "live-dma", generations=3, smp=2).expect_pass()


@pytest.mark.parametrize(
    ("fault", "rule", "generation", "stop", "owner"),
    [
        ("device-page-not-preserved", "KHR-I069", 1, "sealed", "live device edu"),
        ("live-device-stopped", "KHR-I125", 2, "entry", "PCI function 00:0"),
    ],
)
@each_arch
def test_a_defect_is_found(
    rig: Rig, machine: str, fault: str, rule: str, generation: int, stop: str, owner: str
) -> None:
    result = rig.run(machine, "live-dma", generations=2, fault=fault, record=False)
    assert result.findings, "the defect was not found"
    found = result.findings[0]
    assert (found.rule, found.generation, found.stop) == (rule, generation, stop), found
    assert found.owner.startswith(owner)


def test_a_machine_without_pci_is_refused(rig: Rig) -> None:
    with pytest.raises(UnmetNeed, match="microvm has no PCI"):
        rig.run("microvm", "live-dma")
