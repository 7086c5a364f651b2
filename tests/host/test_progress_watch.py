# SPDX-License-Identifier: BSD-3-Clause
"""What is a hang and what is not, look by look, with a clock of the test's own."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

import pytest

from khorig.vm.machines import machine_named
from khorig.vm.process import Thread
from khorig.vm.progress_watch import ProgressWatch
from khorig.vm.vm import Vm

CPU, OTHER = 7, 8  # threads of QEMU
LOOKS_OF_A_HANG = 21  # the first shows something new, twenty do not


class Machine:
    """A guest that is silent, in a QEMU of two threads."""

    def __init__(self) -> None:
        self.now = 100.0
        self.serial = SimpleNamespace(total_bytes=0)
        self.qmp = self.qemu = self
        self.pc, self.frame, self.work = 0x1000, 0, 0
        self.others: list[int] = []  # what the other CPUs are at
        self.running: dict[int, Thread] = {CPU: Thread(0.0, False), OTHER: Thread(0.0, True)}
        self.looked = 0

    def monitor(self, command: str) -> str:
        self.looked += 1
        first = f"RIP={self.pc:016x} RBP={self.frame:016x} RAX={self.work:016x}"
        cpus = [first, *(f"RIP={0x7000:016x} RAX={work:016x}" for work in self.others)]
        return "".join(f"\nCPU#{number}\n{cpu}\n" for number, cpu in enumerate(cpus))

    def execute(self, command: str) -> object:
        return [{"thread-id": CPU}]

    def threads(self) -> dict[int, Thread]:
        return self.running

    def run_cpu(self, seconds: float) -> None:
        self.running[CPU] = Thread(self.running[CPU].cpu_s + seconds, False)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def watch(machine: Machine) -> ProgressWatch:
    return ProgressWatch(cast(Vm, machine), machine_named("q35"), clock=lambda: machine.now)


def looks(machine: Machine, watch: ProgressWatch, count: int, cpu_s: float = 0.05) -> int:
    """The number of the look that finds a hang among `count`, or 0. Silence goes before them."""
    machine.now += 1.0
    for number in range(1, count + 1):
        machine.now += 0.11
        if cpu_s:
            machine.run_cpu(cpu_s)
        if watch.hangs():
            return number
    return 0


def test_registers_that_come_back_are_a_hang(machine: Machine, watch: ProgressWatch) -> None:
    assert looks(machine, watch, 100) == LOOKS_OF_A_HANG


def test_nobody_looks_before_a_second_of_silence(machine: Machine, watch: ProgressWatch) -> None:
    for _ in range(9):
        machine.now += 0.1
        machine.run_cpu(0.1)
        assert not watch.hangs()
    assert machine.looked == 0
    assert watch.next_look_in_s == pytest.approx(0.1)


def test_a_circle_of_several_states_is_a_hang(machine: Machine, watch: ProgressWatch) -> None:
    found = 0
    for number in range(60):
        machine.work = number % 5
        found = found or (number if looks(machine, watch, 1) else 0)
    assert found == 5 + 19


def test_a_look_that_shows_something_new_starts_anew(
    machine: Machine, watch: ProgressWatch
) -> None:
    for machine.work in range(4):
        assert looks(machine, watch, LOOKS_OF_A_HANG - 1) == 0
    machine.work = 4
    assert looks(machine, watch, 100) == LOOKS_OF_A_HANG


@pytest.mark.parametrize("busy", [0, 1, 2])
def test_one_cpu_that_gets_on_is_enough(machine: Machine, watch: ProgressWatch, busy: int) -> None:
    machine.others = [0, 0]
    for work in range(1, 60):
        if busy:
            machine.others[busy - 1] = work
        else:
            machine.work = work
        assert looks(machine, watch, 1) == 0
    assert not watch.mostly_repeats
    assert looks(machine, watch, 100) == LOOKS_OF_A_HANG - 1


@pytest.mark.parametrize(
    "new, old, mostly", [(30, 0, False), (15, 15, False), (9, 12, True), (0, 12, False)]
)
def test_a_circle_of_many_states(
    machine: Machine, watch: ProgressWatch, new: int, old: int, mostly: bool
) -> None:
    for number in range(new + old):
        machine.work = number % (new or 1)
        assert looks(machine, watch, 1) == 0
    assert watch.mostly_repeats is mostly


def test_old_looks_before_output_do_not_count_at_the_deadline(
    machine: Machine, watch: ProgressWatch
) -> None:
    assert looks(machine, watch, LOOKS_OF_A_HANG - 1) == 0
    machine.serial.total_bytes += 1
    for machine.work in range(1, 30):
        assert looks(machine, watch, 1) == 0
    assert not watch.mostly_repeats
    assert watch.summary[-1].endswith("0 of 28 CPU samples had a known state")


def test_what_was_seen_before_output_does_not_count(machine: Machine, watch: ProgressWatch) -> None:
    for _ in range(3):
        assert looks(machine, watch, LOOKS_OF_A_HANG - 1) == 0
        machine.serial.total_bytes += 1
        assert not watch.hangs()
    assert looks(machine, watch, 100) == LOOKS_OF_A_HANG


def test_what_was_seen_before_a_stop_does_not_count(machine: Machine, watch: ProgressWatch) -> None:
    for _ in range(3):
        assert looks(machine, watch, LOOKS_OF_A_HANG - 1) == 0
        machine.serial.total_bytes += 1  # the event of the stop
        machine.now += 30.0  # the host looks at memory
        assert not watch.hangs()
        assert watch.quiet_s == 0.0
    machine.now += 2.0
    assert watch.quiet_s == pytest.approx(2.0)


def test_looks_count_only_when_the_cpu_has_run_in_between(
    machine: Machine, watch: ProgressWatch
) -> None:
    assert looks(machine, watch, 100, cpu_s=0.0) == 0
    machine.run_cpu(0.5)  # once, and the host is busy again
    assert looks(machine, watch, 100, cpu_s=0.0) == 0
    assert machine.looked == 1


def test_a_cpu_that_waits_for_another_thread_does_not_hang(
    machine: Machine, watch: ProgressWatch
) -> None:
    machine.running = {CPU: Thread(0.0, True), OTHER: Thread(0.0, False)}
    assert looks(machine, watch, 100, cpu_s=0.0) == 0


def test_a_cpu_that_waits_for_nothing_hangs(machine: Machine, watch: ProgressWatch) -> None:
    machine.running = {CPU: Thread(0.0, True), OTHER: Thread(0.0, True)}
    assert looks(machine, watch, 100, cpu_s=0.0) == LOOKS_OF_A_HANG


def test_a_qemu_that_has_ended_is_not_asked(machine: Machine, watch: ProgressWatch) -> None:
    machine.running = {}
    assert looks(machine, watch, 100, cpu_s=0.0) == 0
    assert machine.looked == 0


def test_the_place_is_where_the_last_looks_were(machine: Machine, watch: ProgressWatch) -> None:
    machine.pc = 0x9000
    looks(machine, watch, 3)
    machine.serial.total_bytes += 1
    assert not watch.hangs()
    for machine.pc in (0x2000, 0x2080, 0x2040):
        looks(machine, watch, 1)
    assert watch.summary[0] == "3 samples, PC from 0x0000000000002000 to 0x0000000000002080"


@pytest.fixture
def second(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The second CPU of the guest, with a thread of its own: what it works on."""
    cpu = SimpleNamespace(work=0)
    one = machine.monitor

    def both(command: str) -> str:
        assert command.endswith(" -a")
        return f"\nCPU#0\n{one(command)}\n\nCPU#1\nRIP={0x5000:016x} RAX={cpu.work:016x}\n"

    monkeypatch.setattr(machine, "monitor", both)
    monkeypatch.setattr(machine, "execute", lambda command: [{"thread-id": CPU}, {"thread-id": 9}])
    machine.running[9] = Thread(0.0, False)
    return cpu


def test_a_cpu_that_waits_for_one_at_work_does_not_hang(
    machine: Machine, watch: ProgressWatch, second: SimpleNamespace
) -> None:
    for second.work in range(100):
        assert looks(machine, watch, 1) == 0
    assert not watch.mostly_repeats
    assert looks(machine, watch, 100) == LOOKS_OF_A_HANG - 1  # the last work was seen before


def test_circles_of_different_lengths_are_a_hang(
    machine: Machine, watch: ProgressWatch, second: SimpleNamespace
) -> None:
    """All pairs of their states come only after 35 looks, all states of each after 7."""
    found = 0
    for number in range(60):
        machine.work, second.work = number % 5, number % 7
        found = found or (number if looks(machine, watch, 1) else 0)
    assert found == 7 + 19


def test_any_cpu_that_runs_makes_a_look_count(
    machine: Machine, watch: ProgressWatch, second: SimpleNamespace
) -> None:
    for _ in range(3):
        machine.running[9] = Thread(machine.running[9].cpu_s + 0.05, False)
        assert looks(machine, watch, 1, cpu_s=0.0) == 0
    assert watch.summary[-1] == "silent for 3.3 s; 2 of 3 CPU samples had a known state"


def looks_for(machine: Machine, watch: ProgressWatch, seconds: float) -> None:
    """Looks that each show something new."""
    end = machine.now + seconds
    while machine.now < end:
        machine.work += 1
        assert looks(machine, watch, 1) == 0


def test_a_clock_that_is_read_in_a_loop_is_no_progress(
    machine: Machine, watch: ProgressWatch
) -> None:
    for called in range(26):
        machine.pc = 0x1010 if called % 5 else 0x22000
        looks_for(machine, watch, 1)
    assert not watch.spins
    looks_for(machine, watch, 9)
    assert watch.spins and not watch.mostly_repeats
    machine.serial.total_bytes += 1
    looks_for(machine, watch, 29)
    assert not watch.spins


def test_code_where_it_had_not_been_is_progress(machine: Machine, watch: ProgressWatch) -> None:
    for machine.pc in range(0x10000, 0x20000, 0x1000):
        looks_for(machine, watch, 5)
        assert not watch.spins
    looks_for(machine, watch, 30)
    assert watch.spins


def test_a_guest_spins_when_all_of_its_cpus_do(
    machine: Machine, watch: ProgressWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SimpleNamespace(pc=0x9000)
    one = machine.monitor
    monkeypatch.setattr(
        machine, "monitor", lambda command: f"{one(command)}\nCPU#1\nRIP={second.pc:016x}\n"
    )
    looks_for(machine, watch, 33)
    assert watch.spins
    for _ in range(4):
        assert watch.spins
        second.pc += 8192
        looks_for(machine, watch, 1)
    assert not watch.spins


def test_rare_code_of_a_loop_is_no_progress(machine: Machine, watch: ProgressWatch) -> None:
    looks_for(machine, watch, 25)
    for machine.pc in (0x30000, 0x1010, 0x40000, 0x1010):
        looks_for(machine, watch, 2)
    assert watch.spins


def test_a_circle_with_something_new_now_and_then_mostly_repeats(
    machine: Machine, watch: ProgressWatch
) -> None:
    for number in range(40):
        machine.work = 1000 + number if number % 10 == 0 else number % 3
        assert looks(machine, watch, 1) == 0
        assert watch.mostly_repeats == (number >= 19)


def test_a_loop_of_many_states_but_few_values_is_a_hang(
    machine: Machine, watch: ProgressWatch
) -> None:
    """A loop that calls functions is seen at ever new places with ever new mixtures of the same
    values: whether twenty known states come in a row is luck."""
    draw = random.Random(7)
    found = 0
    for number in range(600):
        rare = draw.random() < 0.2
        machine.pc = 0x1000 + 4 * draw.randrange(60 if rare else 3)
        machine.work, machine.frame = draw.randrange(5), draw.randrange(4 if rare else 1)
        found = found or (number if looks(machine, watch, 1) else 0)
    assert 20 < found < 60


def test_a_loop_in_a_loop_gets_on(machine: Machine, watch: ProgressWatch) -> None:
    """Each counter has only values that it has had; the whole of them is new."""
    for number in range(400):
        machine.work, machine.frame = number % 23, number // 23 % 23
        assert looks(machine, watch, 1) == 0


HALTED = "RIP={pc:016x} RFL={flags:08x} [-] CPL=0 HLT=1\nCR0=80050033\n"


def halted(machine: Machine, monkeypatch: pytest.MonkeyPatch, flags: int) -> None:
    text = HALTED.format(pc=0x1000, flags=flags)
    monkeypatch.setattr(machine, "monitor", lambda command: f"\nCPU#0\n{text}\nCPU#1\n{text}")
    machine.running = {CPU: Thread(0.0, True, 5), OTHER: Thread(0.0, True)}


def test_cpus_that_are_halted_and_deaf_are_dead_at_once(
    machine: Machine, watch: ProgressWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    halted(machine, monkeypatch, 0x46)
    assert looks(machine, watch, 100, cpu_s=0.0) == 3


def test_cpus_that_nothing_wakes_are_dead_after_a_while(
    machine: Machine, watch: ProgressWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    halted(machine, monkeypatch, 0x246)
    found = looks(machine, watch, 300, cpu_s=0.0)
    assert found == pytest.approx(10 / 0.11, abs=3)


def test_an_idle_guest_is_no_dead_one_while_its_timer_ticks(
    machine: Machine, watch: ProgressWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    halted(machine, monkeypatch, 0x246)
    for turn in range(240):  # 26 s
        machine.running[CPU] = Thread(0.0, True, turn)
        machine.now += 0.11
        assert not watch.hangs()
    found = 0
    for turn in range(240, 340):
        machine.running[CPU] = Thread(0.0, True, turn)
        machine.now += 0.11
        found = found or (turn if watch.hangs() else 0)
    assert found, "idle for ever"


def test_work_between_sleeps_is_progress(
    machine: Machine, watch: ProgressWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake = "\nCPU#0\nRIP={0:016x} RAX={0:016x} RFL=00000246 HLT=0\nCR0=80050033\n"
    for turn in range(400):
        halted(machine, monkeypatch, 0x246)
        if turn % 50 > 45:
            text = awake.format(0x5000 + turn)
            monkeypatch.setattr(machine, "monitor", lambda command, text=text: text)
        machine.running[CPU] = Thread(turn, turn % 50 <= 45, turn)
        machine.now += 0.11
        assert not watch.hangs()
