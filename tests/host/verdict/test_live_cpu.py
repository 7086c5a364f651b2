# SPDX-License-Identifier: BSD-3-Clause
"""What is said of a CPU that was handed over running."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

import pytest
from verdict.fake_guest import stop_of
from view.handover_image import PAGE
from view.live_cpu_image import LiveImage

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import Outside, RunningCpu
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.plan import Plan
from khorig.rules.protocol import cpus
from khorig.rules.protocol.definitions import COUNTING, INSIDE
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record, take_record
from khorig.run.counters import read_counters
from khorig.run.cpu_accesses import CpuAccesses
from khorig.vm.cpu_view import CpuView
from khorig.vm.errors import InfraError
from khorig.vm.probe import records as probed

SPEC = KhorigRun("x86_64", "q35", smp=2, scenario="live-cpu")


class Guest:
    """A handover at `sealed`, and the machine at the next `entry`."""

    def __init__(self) -> None:
        self.image = LiveImage()
        self.sealed: Record = take_record(1, "sealed", self.image.snapshot())
        pages = (self.image.text, self.image.stack, self.image.counter, self.image.mailbox)
        self.maps: dict[int, int | None] = dict(zip(self.image.virtual, pages))
        self.cpu = RunningCpu(1, self.image.text + 0x20, hardware_id=1)

    def stop(self, *running: RunningCpu, **fields: int) -> Stop:
        facts = GuestFacts()
        if fields:
            facts.take(GuestEvent("cpus", 1, 0, 0.0, fields))
        stop = stop_of(self.image.memory, SPEC, 2, "entry", facts, running)
        return replace(stop, translate=lambda cpu, virtual: self.maps.get(virtual))

    def parked(self, *running: RunningCpu) -> list[str]:
        return whats(cpus.check_parked(self.stop(*running), self.sealed))

    def counting(self) -> list[str]:
        return whats(cpus.check_counting(self.stop(), self.sealed))


def whats(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings]


@pytest.fixture(name="guest")
def _guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    monkeypatch.setattr(cpus, "PATIENCE_S", 0.0)
    return Guest()


def test_it_runs_in_its_text(guest: Guest) -> None:
    assert guest.parked(guest.cpu) == []
    assert guest.parked(replace(guest.cpu, pc=guest.image.text + PAGE - 1)) == []


@pytest.mark.parametrize("offset", [-1, PAGE])
def test_it_left_its_text(guest: Guest, offset: int) -> None:
    pc = guest.image.text + offset
    (what,) = guest.parked(replace(guest.cpu, pc=pc))
    assert what.startswith("CPU 1 (hardware id 0x1), which runs on, has left its text at 0x")
    assert f"PC {pc:#018x} in a page of khorig/live-cpu/" in what


def test_it_runs_on_other_tables(guest: Guest) -> None:
    guest.maps[guest.image.virtual[1]] = guest.image.counter
    (what,) = guest.parked(guest.cpu)
    assert (
        f"has its stack at {guest.image.counter:#018x}, expected {guest.image.stack:#018x}" in what
    )
    guest.maps[guest.image.virtual[0]] = None
    assert "has its text at nowhere" in guest.parked(guest.cpu)[0]


def test_it_does_not_run(guest: Guest) -> None:
    assert guest.parked() == ["CPU 0x1, which was handed over running, does not run"]


def test_any_other_cpu_is_parked(guest: Guest) -> None:
    other = RunningCpu(2, guest.image.text, hardware_id=2)
    (what,) = guest.parked(guest.cpu, other)
    assert what.startswith("CPU 2 not parked: PC")
    # Without an id nobody knows which it is.
    assert len(guest.parked(replace(guest.cpu, hardware_id=None))) == 2


def test_it_counts(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert guest.counting()[0].endswith("stopped: 77 iterations, 77 at sealed in generation 1")
    guest.image.write_u64(guest.image.counter, 78)
    (what,) = guest.counting()
    assert "stands still: 78 iterations" in what
    monkeypatch.setattr(cpus, "PATIENCE_S", 60.0)
    for values in iter((78, 78, 79)), iter((77, 77, 78)):  # 77 when it was sealed
        monkeypatch.setattr(cpus, "read_iterations", lambda memory, live: next(values))
        assert guest.counting() == []


def test_it_is_no_cpu_of_the_kernel(guest: Guest) -> None:
    stop = guest.stop(found=2, online=1, supported=64)
    assert cpus.check_online(stop, guest.sealed) == []
    stop = guest.stop(found=2, online=2, supported=64)
    assert whats(cpus.check_online(stop, guest.sealed)) == ["2 CPUs online, expected 1"]


def test_what_it_writes_is_not_compared(guest: Guest) -> None:
    image, frames = guest.image, guest.sealed.hashes.frames.tolist()
    written = {image.stack // PAGE, image.counter // PAGE}
    owned = set(guest.sealed.snapshot.owners.frames.tolist())
    assert owned - set(frames) == written
    assert read_counters(guest.stop(), guest.sealed.snapshot) == {"iterations": 77}


def test_the_rules_are_due_in_its_scenario_alone() -> None:
    plan = Plan(SPEC)
    assert {"KHR-I074", "KHR-I075"} <= set(plan.due(1, "sealed"))
    assert COUNTING in plan.due(2, "entry") and COUNTING in plan.due(2, "restored")
    other = Plan(replace(SPEC, scenario="chain"))
    due = {rule for at in ("sealed", "entry", "restored") for rule in other.due(2, at)}
    assert not due & {"KHR-I074", "KHR-I075", COUNTING}


class FakeQmp:
    """Answers as QEMU does, or not."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def execute(self, command: str, **arguments: object) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def monitor(self, command: str, cpu: int = 0) -> str:
        return str(self.execute(command, cpu=cpu))


def view(*answers: object, arch: str = "x86_64") -> CpuView:
    return CpuView(FakeQmp(*answers), arch)  # type: ignore[arg-type]


CPUS = [{"cpu-index": 0, "qom-path": "/a"}, {"cpu-index": 1, "qom-path": "/b"}]


def test_the_hardware_id_is_qemus() -> None:
    found = view(CPUS, 0, 2)
    assert (found.hardware_id(1), found.hardware_id(7)) == (2, None)
    assert (found.number_of(2), found.number_of(1)) == (1, None)
    assert view(CPUS, 0x100, 0, arch="arm64").hardware_id(0) == 0x100


@pytest.mark.parametrize(
    "answers", [("text",), ([1],), (CPUS, "x"), (CPUS, -1), (CPUS, 0, "x"), (InfraError("no"),)]
)
def test_an_answer_that_is_none(answers: tuple[object, ...]) -> None:
    assert view(*answers).hardware_id(1) is None


def test_translations() -> None:
    assert view("gpa: 0x7fe00010\r\n").translate(1, 0x1010) == 0x7FE00010
    assert view("Unmapped\r\n").translate(1, 0) is None


def inside(guest: Guest, *outside: Outside) -> list[str]:
    return whats(cpus.check_inside(replace(guest.stop(), outside=outside), guest.sealed))


def test_accesses_outside_of_its_pages(guest: Guest) -> None:
    assert inside(guest, Outside("fetches", 0), Outside("stores", 0)) == []
    assert inside(guest) == ["nobody has watched a CPU that runs on"]
    found = inside(guest, Outside("fetches", 3, 0x1000, None), Outside("stores", 1, 2, 0x5000))
    assert found == [
        "CPU 0x1, which runs on: 3 fetches outside of its pages, the first by PC "
        "0x0000000000001000 at outside of RAM",
        "CPU 0x1, which runs on: 1 stores outside of its pages, the first by PC "
        "0x0000000000000002 at 0x0000000000005000",
    ]


class FakeProbe:
    """Remembers what it is to look at."""

    def __init__(self) -> None:
        self.expected: list[tuple[str, list[int], int]] = []

    def check(self) -> None:
        """It works."""

    def expect_inside(self, kind: str, ranges: Sequence[PhysRange], cpu: int) -> None:
        self.expected.append((kind, [area.begin for area in ranges], cpu))

    def outside(self, kind: str) -> probed.Outside:
        first = probed.Access(1, 0x10, 0x20, 0x30, 7)
        return probed.Outside(2, first) if kind == "fetch" else probed.Outside(0, None)


def test_the_probe_watches_its_pages(guest: Guest) -> None:
    probe, live = FakeProbe(), guest.sealed.snapshot.clients.live_cpu
    assert live is not None
    accesses = CpuAccesses(probe, view(CPUS, 0, 1))  # type: ignore[arg-type]
    accesses.expect(live, PAGE)
    image = guest.image
    assert probe.expected == [
        ("fetch", [image.text], 1),
        ("store", [image.stack, image.counter], 1),
    ]
    assert accesses.outside == (Outside("fetches", 2, 0x10, 0x30), Outside("stores", 0))
    with pytest.raises(InfraError, match="no CPU with hardware id 0x1"):
        CpuAccesses(probe, view(CPUS, 0, 2)).expect(live, PAGE)  # type: ignore[arg-type]


def test_accesses_are_due_with_a_probe() -> None:
    assert INSIDE in Plan(replace(SPEC, probed=True)).due(2, "restored")
    assert INSIDE not in Plan(SPEC).due(2, "restored")
