# SPDX-License-Identifier: BSD-3-Clause
"""Registers and backtraces of CPUs, from what a monitor prints and a guest left in memory."""

from __future__ import annotations

from typing import cast

import pytest

from khorig.mem.kallsyms import Kallsyms
from khorig.run.last_look import LastLook, main_cpu, panics
from khorig.vm.backtrace import report_cpu, unsigned_pointer
from khorig.vm.cpu_memory import CpuMemory
from khorig.vm.cpu_report import CpuReport, Frame
from khorig.vm.cpu_state import CpuState
from khorig.vm.errors import InfraError
from khorig.vm.guest_names import GuestNames
from khorig.vm.machines import machine_named
from khorig.vm.qmp import Qmp
from khorig.vm.symbols import Symbols

X86 = """\

CPU#0
RAX=0000000000000000 RBX=0000000000000001 RCX=0000000000015db5 RDX=ff2f95588f818d60
RSI=00000000000000ff RDI=00000000000000f0 RBP=0000000000000010 RSP=ff2f95588f804fe0
R8 =0000000000000008 R9 =0000000000000000 R10=0000000000000000 R11=ff2f95588f804ff8
RIP=ffffffff94624652 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]
CR0=80050033 CR2=ff2f955883bf9000 CR3=0000000003a2b000 CR4=003516b0
EFER=0000000000000d01

CPU#1
EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000

CPU#2
RIP=0000000000401000 RFL=00000283 [--S---C] CPL=3 II=0 A20=1 SMM=0 HLT=0
CR0=80050033 CR2=0000000000000000 CR3=0000000003a2b000 CR4=003516b0
"""

ARM64 = """\

CPU#0
 PC=ffff80008001ba9c X00=00000000ffffffff X01=ffff8000803c7910
X29=ffff8000804dbf40 X30=ffff80008001ba80  SP=ffff8000804dbf40
PSTATE=404003c5 -Z-- EL1h  SVCR=00000000 --  BTYPE=0     FPCR=00000000 FPSR=00000000
Q00=0000000000000000:0000000000000000 Q01=0000000000000000:0000000000000000

CPU#1
 PC=0000007f80001000 X00=0000000084000002 X01=0000000000000000
PSTATE=60000005 -ZC- EL1h

CPU#2
 PC=0000000000401000 X00=0000000000000000 X29=0000000000000000
PSTATE=60000000 -ZC- EL0t
"""


def test_registers_of_a_pc() -> None:
    first, parked, program = machine_named("q35").cpu_states(X86)
    assert (first.number, first.pc, first.frame) == (0, 0xFFFFFFFF94624652, 0x10)
    assert (first.halted, first.interrupts, first.summary) == (
        True,
        False,
        "halted, interrupts off",
    )
    assert first.registers["R8"] == 8 and first.registers["CR3"] == 0x3A2B000
    assert not {"CS", "HLT", "CPL", "DPL"} & set(first.registers)
    assert (parked.is_on, parked.summary) == (False, "off")
    assert program.summary == "interrupts on, user mode"


def test_registers_of_an_arm64() -> None:
    first, off, program = machine_named("virt").cpu_states(ARM64)
    assert (first.pc, first.frame) == (0xFFFF80008001BA9C, 0xFFFF8000804DBF40)
    assert (first.halted, first.interrupts, first.summary) == (None, False, "interrupts off")
    assert set(first.registers) == {"PC", "X00", "X01", "X29", "X30", "SP", "PSTATE"}
    assert off.summary == "off" and program.summary == "interrupts on, user mode"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "CPU#\nRIP=1234567812345678",
        "CPU#99999\nRIP=0123456701234567",
        "RIP=xyz",
        "RIP=",
    ],
)
def test_what_is_no_output_of_a_monitor_is_no_cpu(text: str) -> None:
    assert machine_named("q35").cpu_states(text) == ()


def test_as_many_cpus_as_a_machine_has_and_no_more() -> None:
    block = "CPU#7\nRIP=0123456701234567\n"
    assert len(machine_named("q35").cpu_states(block * 100_000)) <= 256


class Monitor:
    """QEMU's monitor over words of memory."""

    def __init__(self, words: dict[int, int], physical: str = "") -> None:
        self.words = words
        self.answer = physical
        self.asked = 0

    def monitor(self, command: str, cpu: int = 0) -> str:
        self.asked += 1
        if command.startswith("gva2gpa"):
            return self.answer
        name, count, address = command.split()
        assert name == "x" and count.endswith("gx")
        lines = []
        for at in range(int(address, 16), int(address, 16) + 8 * int(count[1:-2]), 16):
            pair = [self.words.get(at), self.words.get(at + 8)]
            shown = " ".join(f"{word:#018x}" for word in pair if word is not None)
            lines.append(f"{at:016x}: {shown or 'Cannot access memory'}")
        return "\n".join(lines)


def frames_in(words: dict[int, int], names: GuestNames, **state: int) -> CpuReport:
    monitor = Monitor(words)
    registers = {"X30": state["link"]} if "link" in state else {}
    memory = CpuMemory(cast(Qmp, monitor), 0)
    sp, frame = state.get("sp", 0), state.get("frame", 0x100)
    report = report_cpu(CpuState(0, 0x1000, sp, frame, registers), memory, names)
    assert monitor.asked < 30
    return report


def linked(*frames: tuple[int, int, int]) -> dict[int, int]:
    return {k: v for at, above, pc in frames for k, v in ((at, above), (at + 8, pc))}


NAMELESS = GuestNames(Symbols())


@pytest.mark.parametrize(
    "frames, chain",
    [
        ([(0x100, 0x200, 0x11), (0x200, 0x300, 0x22), (0x300, 0, 0)], [0x1000, 0x11, 0x22]),
        ([(0x100, 0x100, 0x11)], [0x1000, 0x11]),  # its own caller
        ([(0x100, 0x200, 0x11), (0x200, 0x100, 0x22)], [0x1000, 0x11, 0x22]),
        ([(0x100, 0x204, 0x11)], [0x1000, 0x11]),  # no frame lies there
        ([(0x100 + 16 * n, 0x110 + 16 * n, n + 1) for n in range(50)], [0x1000, *range(1, 25)]),
    ],
)
def test_call_chains(frames: list[tuple[int, int, int]], chain: list[int]) -> None:
    report = frames_in(linked(*frames), NAMELESS)
    assert [frame.pc for frame in report.frames] == chain


def test_a_chain_that_leaves_memory_says_where() -> None:
    report = frames_in(linked((0x100, 0x8000, 0x11)), NAMELESS)
    assert report.error == "frame at 0x0000000000008000 is not mapped"
    assert frames_in({}, NAMELESS, frame=0x104).error == "no frame at 0x0000000000000104"


KALLSYMS = Kallsyms([0x1000, 0x1100, 0x1200, 0x1300], ["delay", "panic", "kho_init", "_etext"])


def test_a_kernel_without_frame_pointers_has_what_lies_on_its_stack() -> None:
    stack = {0x400 + 8 * n: word for n, word in enumerate((7, 0x1140, 0, 0x9999999, 0x1250))}
    report = frames_in(stack, GuestNames(Symbols(), KALLSYMS), sp=0x400, frame=1)
    assert [(f.pc, f.found_on_stack) for f in report.frames] == [
        (0x1000, False),
        (0x1140, True),
        (0x1250, True),
    ]
    assert report.frames[1].where == "0x0000000000001140 panic+0x40"
    assert panics(report)


def test_the_caller_of_a_leaf_is_in_the_link_register() -> None:
    names = GuestNames(Symbols(), KALLSYMS)
    frames = linked((0x100, 0, 0x1250))
    leaf = frames_in(frames, names, link=0x1140)
    assert [frame.pc for frame in leaf.frames] == [0x1000, 0x1140, 0x1250]
    inside = frames_in(frames, names, link=0x1010)  # of itself: it has called another
    assert [frame.pc for frame in inside.frames] == [0x1000, 0x1250]


def test_signatures_of_pointers_are_taken_off() -> None:
    assert unsigned_pointer(0x23BF80008001BA9C) == 0xFFFF80008001BA9C
    assert unsigned_pointer(0x1234007F80001000) == 0x0000007F80001000
    assert unsigned_pointer(0xFFFF80008001BA9C) == 0xFFFF80008001BA9C


def test_a_monitor_that_does_not_answer_is_an_error_in_the_report() -> None:
    class Silent(Monitor):
        def monitor(self, command: str, cpu: int = 0) -> str:
            raise InfraError("QEMU did not answer on QMP for 10 s")

    memory = CpuMemory(cast(Qmp, Silent({})), 0)
    report = report_cpu(CpuState(0, 0x1000, frame=0x100), memory, NAMELESS)
    assert report.error == "backtrace: QEMU did not answer on QMP for 10 s"
    assert [frame.pc for frame in report.frames] == [0x1000]


@pytest.mark.parametrize("answer, found", [("gpa: 0x40\n", 0x40), ("Unmapped\n", None), ("", None)])
def test_physical_addresses(answer: str, found: int | None) -> None:
    assert CpuMemory(cast(Qmp, Monitor({}, answer)), 1).physical(0x1000) == found


def cpu(number: int, state: str, *where: str) -> CpuReport:
    frames = tuple(Frame(n, f"{n:#018x} {place}") for n, place in enumerate(where))
    return CpuReport(number, state, {"RIP": number}, frames)


def test_the_cpu_that_panics_comes_first_and_others_have_a_line() -> None:
    cpus = (
        cpu(0, "halted, interrupts off", "stop_this_cpu+0x3e"),
        cpu(
            1, "interrupts on", *("delay_tsc+0x1", "vpanic+0x2", *(f"f{n}+0x0" for n in range(30)))
        ),
        *(cpu(n, "off") for n in range(2, 9)),
    )
    assert main_cpu(cpus).number == 1
    lines = LastLook(2, cpus).lines
    assert lines[0] == "CPU 1 0x0000000000000000 delay_tsc+0x1  interrupts on"
    assert len(lines) == 8 + 3 + 1
    assert lines[8] == "CPU 0 0x0000000000000000 stop_this_cpu+0x3e  halted, interrupts off"
    assert lines[-1] == "and 5 more CPUs in verdict.json"


def test_reports_survive_the_journal() -> None:
    report = cpu(3, "interrupts off", "arch::Pause+0x6", "handover::Jump+0x1")
    assert CpuReport.of(report.record()) == report


def test_a_linux_that_reached_no_console_dies_of_what_its_log_says() -> None:
    log = ("random: crng init done", "Kernel panic - not syncing: no tracker", "CPU: 0 PID: 0")
    look = LastLook(3, (cpu(0, "interrupts on", "delay+0x1"),), log=log)
    assert look.last_words == log[1]
    assert look.lines[1:] == tuple(f"kernel log in memory: {line}" for line in log)
    assert LastLook(3, (), log=log[:1]).last_words == ""
