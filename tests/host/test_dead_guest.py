# SPDX-License-Identifier: BSD-3-Clause
"""Which kernel has died, and how: kinds of hang, and whose text a CPU executes after a jump."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from rig import Rig, Script, event, stop

from khorig.guest.event import GuestEvent
from khorig.mem.kallsyms import Kallsyms
from khorig.rules.finding import Verdict
from khorig.run.hang_kind import hang_kind
from khorig.run.running_kernel import RunningKernel
from khorig.vm.cpu_memory import CpuMemory
from khorig.vm.cpu_report import CpuReport, Frame
from khorig.vm.cpu_state import CpuState
from khorig.vm.guest_names import GuestNames
from khorig.vm.symbols import Symbols

NAMES = GuestNames(
    Symbols(), Kallsyms([0x1000, 0x1100, 0x1200, 0x1300], ["delay", "vpanic", "kho_init", "idle"])
)
HALTED = {"halted": True, "interrupts": False}


def kind_of(*states: CpuState, frames: tuple[int, ...] = (), **extra: Any) -> str:
    reports = [
        CpuReport(
            state.number,
            state.summary,
            {},
            tuple(Frame(pc, NAMES.describe(pc)) for pc in (state.pc, *frames)),
        )
        for state in states
    ]
    sampled = extra.get("sampled", {})
    is_between, place = extra.get("is_between", False), extra.get("place", "")
    return hang_kind(states, reports, NAMES, sampled, is_between, place)


@pytest.mark.parametrize(
    "states, kind",
    [
        (
            [CpuState(0, 0x1300, **HALTED), CpuState(1, 0x1300, **HALTED)],
            "no CPU runs: all halted, interrupts off",
        ),
        (
            [CpuState(0, 0x1300, halted=True, interrupts=True), CpuState(1, 0, is_on=False)],
            "no CPU runs: all halted, nothing wakes them",
        ),
        ([CpuState(0, 0x1010, interrupts=False)], "CPU 0 spins in delay, interrupts off"),
        ([CpuState(0, 0x1010, interrupts=True)], "CPU 0 spins in delay"),
        (
            [CpuState(0, 0x1300, **HALTED), CpuState(1, 0x1010, halted=False, interrupts=False)],
            "CPU 1 spins in delay, interrupts off",
        ),
        ([CpuState(0, 0x77)], "CPU 0 spins in 0x0000000000000077"),
        ([], "no CPU is on"),
    ],
)
def test_kinds_of_hang(states: list[CpuState], kind: str) -> None:
    assert kind_of(*states) == kind


def test_the_function_with_the_loop_is_named_not_one_that_it_calls() -> None:
    state = CpuState(0, 0x1010, interrupts=True)
    sampled = {0: {0x1010, 0x1210}}
    assert kind_of(state, frames=(0x1220, 0x1320), sampled=sampled) == "CPU 0 spins in kho_init"


def test_a_loop_in_panic_is_a_panic() -> None:
    kind = kind_of(CpuState(0, 0x1010, interrupts=True), frames=(0x1120,))
    assert kind == "panicked: CPU 0 loops in panic()"


def test_purgatory_is_no_loop() -> None:
    assert kind_of(CpuState(0, 0x77), is_between=True).startswith("in purgatory")


def test_the_piece_of_the_next_kernel_that_loops_is_named() -> None:
    state = CpuState(0, 0x77, interrupts=False)
    kind = kind_of(state, is_between=True, place="generation 2's purgatory+0x10")
    assert kind == "CPU 0 spins in generation 2's purgatory+0x10, interrupts off"


TEXT = 0xFFFF_FFFF_8100_0000


class Memory:
    def __init__(self, **mapped: int) -> None:
        self.mapped = {TEXT: mapped.get("text"), 0x5000: mapped.get("pc")}

    def physical(self, address: int) -> int | None:
        return self.mapped.get(address)


def told(kernel: RunningKernel, kind: str, **fields: Any) -> None:
    kernel.on_event(GuestEvent(kind, 1, 0, 0.0, fields))


def decide(kernel: RunningKernel, **mapped: int) -> int | None:
    return kernel.decide(CpuState(0, 0x5000), cast(CpuMemory, Memory(**mapped)))


@pytest.mark.parametrize(
    "at, generation",
    [(0x201000, 1), (0x801000, 2), (0x5000, 1), (0x900000, 2)],
    ids=["its image", "a segment", "the relocator", "somewhere else"],
)
def test_after_khorigs_jump_the_place_in_ram_decides(at: int, generation: int) -> None:
    kernel = RunningKernel(TEXT)
    told(kernel, "boot", image=["0x200000", "0x300000"])
    told(kernel, "segments", list=[["kernel", "0x800000", "0xf1000"], ["x", "0xf00000", "0x1000"]])
    assert decide(kernel, pc=at) == 1, "before the jump"
    told(kernel, "jump")
    assert decide(kernel, pc=at) == generation


def test_a_kernel_whose_entry_the_host_saw_runs() -> None:
    kernel = RunningKernel(TEXT)
    told(kernel, "boot")
    told(kernel, "jump")
    kernel.on_event(GuestEvent("stop", 2, 0, 0.0, {"at": "entry"}))
    assert decide(kernel, pc=0x1005000, text=0x1000000) == 2 and kernel.is_entered
    kernel.on_event(GuestEvent("boot", 2, 0, 0.0, {}))
    assert kernel.generation == 2 and not kernel.is_entered


@pytest.mark.parametrize(
    "mapped, generation",
    [
        ({"pc": 0x5000}, 2),
        ({"pc": 0x1005000, "text": 0x1000000}, 1),
        ({"pc": 0x3005000, "text": 0x3000000}, 2),
        ({"pc": 0x3005000}, None),
        ({}, None),
    ],
    ids=["1:1", "the old text", "a new text", "unknown", "not mapped"],
)
def test_after_a_linux_jumped_its_text_decides(
    mapped: dict[str, int], generation: int | None
) -> None:
    kernel = RunningKernel(TEXT)
    told(kernel, "boot")
    kernel.on_stop(cast(CpuMemory, Memory(text=0x1000000)))
    told(kernel, "jump")
    assert decide(kernel, **mapped) == generation


@pytest.mark.parametrize(
    "fields",
    [
        {"image": None}, {"image": []}, {"image": ["0x1"]}, {"image": [1, 2]},
        {"image": ["-5", "x"]}, {"image": {"a": 1}},
    ],
)  # fmt: skip
def test_words_of_a_guest_that_make_no_sense_are_absent(fields: dict[str, Any]) -> None:
    kernel = RunningKernel(TEXT)
    told(kernel, "boot", **fields)
    malformed: list[object] = [None, 7, ["kernel"], [["kernel"]], [["kernel", 1, 2]], [[]]]
    for bad in malformed:
        told(kernel, "segments", list=bad)
    told(kernel, "jump")
    assert decide(kernel, pc=0x123000) is None
    kernel.on_text("[    0.000000] Linux version 7.3.4")
    assert decide(kernel, pc=0x123000) == 2


def test_a_hang_has_registers_in_journal_and_verdict(rig: Rig) -> None:
    script: Script = [event("boot", 1, handover=False), *stop("entry", 1), ["hang", None]]
    result = rig.run(script)
    assert (result.verdict, result.cause) == (
        Verdict.HANG,
        "no progress: CPU 0 spins in 0x0000000000001000",
    )
    [cpu] = result.cpus
    assert cpu.registers["RIP"] == 0x1000 and cpu.frames[0].pc == 0x1000
    folder = Path(result.directory)
    [shown] = json.loads((folder / "verdict.json").read_text())["cpus"]
    assert shown["registers"]["RIP"] == "0x1000"
    records = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    [record] = [record for record in records if record["ev"] == "cpus"]
    assert record["cpus"] == [shown] and record["gen"] == 1


def test_who_jumped_is_not_to_blame_for_the_next_kernel(rig: Rig) -> None:
    script: Script = [
        event("boot", 1, handover=False, image=["0x200000", "0x300000"]),
        event("segments", 1, list=[["kernel", "0x800000", "0x100000"]]),
        event("jump", 1, to="0x800000"),
        ["maps", "0x801000"],
        ["hang", None],
    ]
    result = rig.run(script, stops=())
    assert (result.verdict, result.findings[0].generation) == (Verdict.HANG, 2)


def _broken(*after: list[Any]) -> Script:
    """A second kernel that says so before the rig's init has any word."""
    return [
        event("boot", 1, handover=False),
        event("jump", 1, to="0x0"),
        ["say", "[    0.000000] Linux version 7.3.4"],
        ["say", "[    0.400000] BUG: Bad page state in process swapper  pfn:3ac00"],
        ["say", "[    0.500000] Oops: general protection fault [#1] SMP"],
        ["say", "[    0.500000] RIP: 0010:kho_restore_page+0x3c/0x120"],
        *after,
    ]


def test_a_linux_that_oopsed_and_is_silent_has_crashed(rig: Rig) -> None:
    rig.limits = replace(rig.limits, oops_s=0.3)
    result = rig.run(_broken(["busy", 60]), stops=(), generations=2)
    assert (result.verdict, result.findings[0].generation) == (Verdict.CRASH, 2)
    assert result.cause == "BUG: Bad page state in process swapper  pfn:3ac00"
    evidence = result.findings[0].evidence
    assert "RIP: 0010:kho_restore_page+0x3c/0x120" in evidence
    assert any("0x0000000000001000" in line for line in evidence)
    assert result.wall_s < 15


@pytest.mark.parametrize(
    "words",
    [
        "BUG: Bad page state in process swapper  pfn:3ac00",
        "WARNING: kernel/liveupdate/kexec_handover.c:529 at kho_restore_page+0x3c/0x120, CPU#0",
    ],
)
def test_what_linux_says_is_broken_ends_the_run_at_once(rig: Rig, words: str) -> None:
    """Though it goes on, and would report a pass."""
    on = [event("boot", 2, handover=True), ["busy", 60], event("done", 2, status="pass")]
    script = [*_broken()[:3], ["say", f"[    0.400000] {words}"]]
    for printed in ("dump_stack_lvl+0x59/0x6b", "dump_stack+0x10/0x12", "bad_page+0xcc/0xee"):
        script.append(["say", f"[    0.405000]  {printed}"])
    script += [["say", "[    0.410000]  kho_restore_folio+0xc/0x20"], *on, ["exit", 33]]
    result = rig.run(script, stops=(), generations=2)
    assert (result.verdict, result.findings[0].generation) == (Verdict.CRASH, 2)
    assert (len(result.findings), result.cause) == (1, words)
    assert result.findings[0].evidence[:1] == ("kho_restore_folio+0xc/0x20",)
    assert result.wall_s < 15


def test_a_panic_behind_a_warning_is_waited_for(rig: Rig) -> None:
    rig.limits = replace(rig.limits, oops_s=30.0)
    panic = "Kernel panic - not syncing: Attempted to kill the idle task!"
    script = [*_broken()[:3], ["say", "[    0.400000] WARNING: mm/page_alloc.c:1 at free+0x1/0x2"]]
    script += [["busy", 1], ["say", "[    0.410000]  kho_restore_folio+0xc/0x20"]]
    script += [["say", "[    0.420000] ---[ end trace 0000000000000000 ]---"], ["busy", 1]]
    script += [["say", f"[    0.420000] {panic}"], ["busy", 60]]
    result = rig.run(script, stops=(), generations=2)
    assert (result.verdict, result.findings[0].generation) == (Verdict.CRASH, 2)
    assert result.cause == "WARNING: mm/page_alloc.c:1 at free+0x1/0x2"
    assert result.findings[0].evidence[:2] == ("kho_restore_folio+0xc/0x20", panic)
    assert result.wall_s < 15


def test_what_broke_first_is_the_cause_of_a_later_panic(rig: Rig) -> None:
    panic = ["say", "[    0.600000] Kernel panic - not syncing: Fatal exception"]
    result = rig.run(_broken(panic, ["busy", 60]), stops=(), generations=2)
    assert (result.verdict, result.findings[0].generation) == (Verdict.CRASH, 2)
    assert result.cause == "BUG: Bad page state in process swapper  pfn:3ac00"
    trace = ["say", "[    0.510000] ---[ end trace 0000000000000000 ]---"]
    oops = [*_broken()[:3], *_broken()[4:], trace, ["busy", 1], panic, ["busy", 60]]
    result = rig.run(oops, stops=(), generations=2)
    assert result.cause == "Kernel panic - not syncing: Fatal exception"


@pytest.mark.parametrize("words", ["BUG: Bad page state", "Oops: 0000", "WARNING: on its own"])
def test_what_a_program_says_is_the_programs(rig: Rig, words: str) -> None:
    """A kernel that is broken then has it in its log as well."""
    rig.limits = replace(rig.limits, oops_s=2.0)
    script: Script = [
        event("boot", 1, handover=False),
        event("program-start", 1, number=0, path="/p"),
        ["say", words],
        event("program", 1, number=0, path="/p", errno=0, signal=0, status=0, ok=True),
        ["busy", 3],
        event("done", 1, status="pass"),
        ["exit", 33],
    ]
    result = rig.run(script, stops=(), generations=1)
    assert result.verdict is Verdict.PASS, result.findings


def test_a_lockup_of_a_slow_host_is_no_crash(rig: Rig) -> None:
    rig.limits = replace(rig.limits, oops_s=0.1)
    script: Script = [
        event("boot", 1, handover=False),
        ["say", "[   22.400000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!"],
        ["busy", 1],
        event("done", 1, status="pass"),
        ["exit", 33],
    ]
    assert rig.run(script, stops=(), generations=1).verdict is Verdict.PASS


def test_a_reset_shows_what_the_cpus_did(rig: Rig) -> None:
    reset = ["event", ["SHUTDOWN", {"guest": True, "reason": "guest-reset"}]]
    result = rig.run([event("boot", 1, handover=False), reset, ["sleep", 60]], stops=())
    assert result.verdict is Verdict.CRASH and "triple fault" in result.cause
    assert [cpu.registers["RIP"] for cpu in result.cpus] == [0x1000]
