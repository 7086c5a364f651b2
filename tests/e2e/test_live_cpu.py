# SPDX-License-Identifier: BSD-3-Clause
"""A CPU runs on while the others jump three times."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.api.rig import Rig
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import parse_poke
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.run.needs import UnmetNeed
from khorig.vm.machines import machine_named

JUMPS = 3
EL2 = ("-machine", "virtualization=on")


def expect_counting(rig: Rig, machine: str, cpus: int, **options: Any) -> None:
    """It passes, and the CPU has counted across each jump and come back."""
    result = rig.run(machine, "live-cpu", smp=cpus, generations=JUMPS + 1, **options)
    result.expect_pass()
    seen = [record for record in result.records if record["ev"] == "counter"]
    stops = [(record["gen"], record["at"]) for record in seen]
    jumps = [((g, "sealed"), (g + 1, "entry"), (g + 1, "restored")) for g in range(1, JUMPS + 1)]
    assert stops == [stop for jump in jumps for stop in jump]
    values = [record["value"] for record in seen]
    assert values == sorted(set(values)), values
    assert [record["ns"] for record in seen] == sorted(record["ns"] for record in seen)
    outside = [record for record in result.records if record["ev"] == "outside"]
    assert len(outside) == 4 * JUMPS and not any(record["count"] for record in outside)
    online = [event["online"] for event in result.events("cpus")]
    assert online == [cpus, *[cpus - 1] * (JUMPS + 1), cpus]


@pytest.mark.parametrize("cpus", [2, 4])
@pytest.mark.parametrize(
    ("machine", "extra_qemu"),
    [("q35", ()), ("microvm", ()), ("virt", ()), ("virt", EL2)],
    ids=["q35", "microvm", "virt", "virt-el2"],
)
def test_three_jumps(rig: Rig, machine: str, cpus: int, extra_qemu: tuple[str, ...]) -> None:
    expect_counting(rig, machine, cpus, extra_qemu=extra_qemu)


@each_arch
def test_on_threads_of_the_host(rig: Rig, machine: str) -> None:
    """Where instructions are not counted it runs while the first CPU copies the next kernel."""
    expect_counting(rig, machine, 2, counted=False, timeout_s=120.0)


@each_arch
def test_nightly_started_by_uefi(rig: Rig, machine: str) -> None:
    expect_counting(rig, machine, 2, boot="uefi", timeout_s=300.0)


@each_arch
def test_it_takes_a_second_cpu(rig: Rig, machine: str) -> None:
    with pytest.raises(UnmetNeed, match="needs 2 CPUs: --smp 2"):
        rig.run(machine, "live-cpu")
    arch = machine_named(machine).arch
    result = rig.run_spec(KhorigRun(arch, machine, scenario="live-cpu"))  # nobody checks needs
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].what == "live-cpu: takes a CPU besides the first one: --smp 2"


@pytest.mark.parametrize(
    ("fault", "rule", "what"),
    [
        ("live-cpu-leaves-text", "KHR-I116", "CPU 1 (hardware id 0x1), which runs on, has left"),
        ("live-cpu-stores-outside", "KHR-I075", "no page of its own"),
        ("live-cpu-page-not-preserved", "KHR-I074", "page of khorig/live-cpu/stack is not"),
    ],
)
@each_arch
def test_a_fault_is_found(rig: Rig, machine: str, fault: str, rule: str, what: str) -> None:
    result = rig.run(machine, "live-cpu", smp=2, fault=fault)
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert found.rule == rule and what in found.what, found


@each_arch
def test_the_probe_sees_where_a_cpu_is(rig: Rig, machine: str) -> None:
    """Besides the registers at `entry`."""
    result = rig.run(machine, "live-cpu", smp=2, fault="live-cpu-leaves-text")
    found = [finding.what for finding in result.findings if finding.rule == "KHR-I134"]
    assert "fetches outside of its pages, the first by PC 0x" in found[0]


@pytest.mark.parametrize(("machine", "rule"), [("q35", "KHR-I133"), ("virt", "KHR-I116")])
def test_a_cpu_that_stops_is_found(rig: Rig, machine: str, rule: str) -> None:
    """A flipped bit in the mailbox ends the loop behind `sealed`."""
    pokes = (parse_poke("1:sealed:khorig/live-cpu/mailbox"),)
    result = rig.run(machine, "live-cpu", smp=2, pokes=pokes)
    assert result.verdict is Verdict.FAIL
    assert (result.findings[0].rule, result.findings[0].stop) == (rule, "entry")
