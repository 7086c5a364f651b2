# SPDX-License-Identifier: BSD-3-Clause
"""What the host builds again of the storm, and what it says of CPUs."""

from __future__ import annotations

from typing import cast
from unittest.mock import Mock

import pytest
from verdict.fake_guest import stop_of
from view.handover_image import typical_image

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import RunningCpu
from khorig.rules.protocol import cpus
from khorig.rules.protocol.scenarios.storm import expected_storm
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record
from khorig.run.judging import StopContext
from khorig.run.look import Look
from khorig.run.pci_watch import PciWatch
from khorig.run.rerun import rerun_command
from khorig.vm.machines import machine_named

REGISTERS = """\

CPU#0
RAX=0000000000000000 RBX=0000000000000001
RIP=ffffffff80001234 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0

CPU#1
RAX=0000000000000000 RBX=0000000000000001
RIP=000000000000fff0 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=60000010 CR2=0000000000000000

CPU#2
RAX=0000000000000000 RBX=0000000000000001
RIP=ffffffff80018c96 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
CR0=80010033 CR2=0000000000000000

CPU#3
RAX=0000000000000000 RBX=0000000000000001
RIP=ffffffff80002a10 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=80010033 CR2=0000000000000000

CPU#4
RAX=0000000000000000 RBX=0000000000000001
RIP=000000000000fff0 RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
CR0=60000010 CR2=0000000000000000
"""

ARM64_REGISTERS = """\

CPU#0
 PC=0000000040201234 X00=0000000000000000 X01=0000000000000001
PSTATE=600003c5 -ZC- EL1h

CPU#1
 PC=ffffff8000011890 X00=0000000084000002 X01=0000000000000001
PSTATE=600003c5 -ZC- EL1h

CPU#2
 PC=0000000047ffe004 X00=0000000000000000 X01=0000000000000001
PSTATE=600003c5 -ZC- EL1h

CPU#3
 PC=0000000000000000 X00=0000000000000000 X01=0000000000000001
PSTATE=400003c5 -Z-- EL1h

CPU#4
 PC=ffffff8000011890 X00=fffffffffffffffd X01=0000000000000001
PSTATE=400003c5 -Z-- EL1h
"""


NO_LIVE_CPU = cast(Record, Mock(**{"snapshot.clients.live_cpu": None}))


def stop_with(running: tuple[RunningCpu, ...] = (), **fields: int) -> Stop:
    facts = GuestFacts()
    if fields:
        facts.take(GuestEvent("cpus", 1, 0, 0.0, fields))
    spec = KhorigRun("x86_64", "q35", smp=4)
    return stop_of(typical_image(1).memory, spec, 1, "entry", facts, running)


@pytest.mark.parametrize("count", [1, 3, 64])
def test_every_cpu_keeps_to_its_own_groups(count: int) -> None:
    alone = expected_storm(7, 1, count, 300)
    assert len(alone.versions) == count
    more = expected_storm(7, 1, count, 301)
    # One more step of each CPU changes at most one block, in a group of its own.
    changed = [page for page in range(1024) if alone.pages[page] != more.pages[page]]
    groups = {page // 8 for page in changed}
    assert len({group % count for group in groups}) == len(groups)


def test_generations_and_seeds_differ() -> None:
    storms = {expected_storm(*key, 4, 200).pages.tobytes() for key in ((1, 1), (1, 2), (2, 1))}
    assert len(storms) == 3


def test_the_bytes_are_blocks() -> None:
    pages = expected_storm(3, 1, 4, 4000).pages.tobytes()
    at = 0
    while at < len(pages):
        order = pages[at] - 1
        size = 1 << order if pages[at] else 1
        assert pages[at] in (0, 1, 2, 3, 4)
        assert pages[at + 1 : at + size] == b"\xff" * (size - 1)
        at += size


def test_running_cpus() -> None:
    """One that halted in a kernel was not parked: an interrupt lets it go on in its text."""
    found = machine_named("q35").running_cpus(REGISTERS)
    assert found == (
        RunningCpu(2, 0xFFFFFFFF80018C96),
        RunningCpu(3, 0xFFFFFFFF80002A10, halted=True),
    )
    assert machine_named("virt").running_cpus(ARM64_REGISTERS) == (
        RunningCpu(2, 0x47FFE004),
        RunningCpu(4, 0xFFFFFF8000011890),
    )
    findings = cpus.check_parked(stop_with(found), NO_LIVE_CPU)
    assert [f.owner for f in findings] == ["CPU 2", "CPU 3"]
    assert [f.what.split(" 0x")[0] for f in findings] == [
        "CPU 2 not parked: PC",
        "CPU 3 not parked: halted at",
    ]


@pytest.mark.parametrize("counted, looks", [(False, 2), (True, 1)])
def test_init_has_time_to_reach_a_cpu(counted: bool, looks: int) -> None:
    """Where every CPU has a thread of its own, which the host may run late."""
    answers = [REGISTERS, REGISTERS.replace("80010033", "60000010").replace("HLT=0", "HLT=1")]
    asked: list[str] = []

    def monitor(command: str) -> str:
        asked.append(command)
        return answers[len(asked) - 1] if command == "info registers -a" else ""

    vm = Mock(**{"qmp.monitor": monitor, "probe": None})
    spec = KhorigRun("x86_64", "q35", smp=5, counted=counted)
    stop = StopContext(1, "entry", Mock(), Mock(), Mock())
    pci = PciWatch(spec, Mock())
    context = Look(vm, machine_named("q35"), spec, Mock(), pci).before(stop)
    assert asked[:looks] == ["info registers -a"] * looks
    assert [cpu.number for cpu in context.running_cpus] == ([2, 3] if counted else [])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"found": 4, "online": 4, "supported": 64}, []),
        ({"found": 4, "online": 3, "supported": 64}, ["3 CPUs online, expected 4"]),
        ({"found": 3, "online": 3, "supported": 2}, ["found 3 CPUs", "expected 2"]),
        ({}, ["no 'cpus' event"]),
    ],
)
def test_lost_cpus(fields: dict[str, int], words: list[str]) -> None:
    stop = stop_with(**fields)  # type: ignore[arg-type]
    findings = cpus.check_online(stop, NO_LIVE_CPU)
    assert len(findings) == len(words)
    assert all(word in found.what for word, found in zip(words, findings))


def test_the_command_line_and_the_rerun_have_the_cpus() -> None:
    spec = KhorigRun("x86_64", "q35", smp=4)
    assert "--smp 4" in rerun_command(spec)
    assert "--smp" not in rerun_command(KhorigRun("x86_64", "q35"))
    assert spec.id == "handover/x86_64-q35-smp4"
