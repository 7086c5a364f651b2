# SPDX-License-Identifier: BSD-3-Clause
"""Many CPUs: all of them at work in every generation, and none left behind by a jump."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict

GIB = 1 << 30

SUPPORTED = 64


@pytest.mark.parametrize("cpus", [2, 4, 8])
@pytest.mark.parametrize("machine", ["q35", "pc", "microvm", "virt"])
def test_all_cpus_come_up_in_every_generation(rig: Rig, machine: str, cpus: int) -> None:
    result = rig.run(machine, "handover", smp=cpus, extra_options=("megabytes=8",))
    result.expect_pass()
    said = result.events("cpus")
    assert [event["online"] for event in said] == [cpus] * 3
    assert all(event["ids"] == said[0]["ids"] for event in said)
    # Not only the first CPU asks for the jump.
    assert {event["asked_by"] for event in result.events("jump")} == {1, 2 % cpus}


@each_arch
def test_the_image_above_4_gib(rig: Rig, machine: str) -> None:
    """CPUs start in real mode, wherever the kernel lies."""
    # Below 4 GiB q35 has 2 GiB of RAM and virt 3, so most of the second scratch area does not lie
    # there.
    scratch = ("kho_scratch=8M,8000M,4M",)
    result = rig.run(machine, "chain", smp=4, memory=12 * GIB, extra_options=scratch)
    result.expect_pass()
    assert [event["online"] for event in result.events("cpus")] == [4] * 3
    images = [int(event["image"][0], 16) for event in result.events("boot")]
    assert any(image >= 4 * GIB for image in images), images


@each_arch
def test_more_cpus_than_the_kernel_supports(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "chain", smp=72, generations=2)
    result.expect_pass()
    for event in result.events("cpus"):
        assert (event["found"], event["online"], event["supported"]) == (72, SUPPORTED, SUPPORTED)
        assert len(set(event["ids"])) == SUPPORTED


@each_arch
def test_a_cpu_left_in_old_text_is_found(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "chain", smp=4, fault="ap-spins-in-old-text")
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert re.search("CPU 1 not parked: PC 0x.* in the previous kernel's text", found.what), found
    assert (found.rule, found.generation, found.stop) == ("KHR-I116", 2, "entry")


@each_arch
def test_a_cpu_parked_in_a_page_of_nobody_is_found(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "chain", smp=4, fault="park-page-unowned")
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert re.search("CPU 1 not parked: PC 0x.* in an unowned page", found.what), found
    assert (found.generation, found.stop) == (2, "entry")


@pytest.mark.parametrize(
    ("machine", "extra_qemu"),
    [
        ("q35", ()),
        ("microvm", ()),
        ("virt", ()),
        ("virt", ("-machine", "gic-version=2")),
        ("virt", ("-machine", "virtualization=on")),
        ("virt", ("-machine", "virtualization=on,gic-version=2")),
    ],
    ids=["q35", "microvm", "virt-gicv3", "virt-gicv2", "virt-gicv3-el2", "virt-gicv2-el2"],
)
def test_a_panic_stops_and_prints_every_cpu(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...]
) -> None:
    """The last CPU panics; the others are in a loop that does not look whether anybody does."""
    result = rig.run(machine, "chain", smp=4, fault="panic-after-restore", extra_qemu=extra_qemu)
    assert result.verdict is Verdict.CRASH
    console = (Path(result.directory) / "console.log").read_text().replace("\r", "")
    for cpu, caller in ((0, "RunOnAllCpus"), (1, "WaitAndWork"), (2, "WaitAndWork")):
        stopped = re.search(rf"^CPU {cpu}:\n((?: +[0-9a-f]{{16}} .+\n)+)", console, re.MULTILINE)
        assert stopped, f"where is CPU {cpu}?\n" + console[console.find("backtrace:") :]
        assert caller in stopped.group(1), stopped.group()
        assert "StopIfPanicking" not in stopped.group(1), stopped.group()
    assert "CPU 3:" not in console
