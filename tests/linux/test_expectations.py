# SPDX-License-Identifier: BSD-3-Clause
"""What Linux has to say, without a Linux."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from khorig.guest.chain_run import ChainRun, content_state
from khorig.guest.event import GuestEvent
from khorig.kho.layout import GEOMETRY_4K
from khorig.linux.expectations import Expectations
from khorig.linux.linux_monitor import LinuxMonitor
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import LINUX_REPORTS
from khorig.rules.temporal.page_hashes import hash_all, hash_pages
from khorig.run.guest_monitor import GuestMonitor
from khorig.run.rerun import rerun_command

LINUX_KHORIG_LINUX = ("linux-7.3", "khorig", "linux-7.3")


def spec_of(*kernels: str, **fields: Any) -> ChainRun:
    return ChainRun("x86_64", "q35", kernels=kernels, **fields)


def event(kind: str, generation: int, **fields: Any) -> GuestEvent:
    return GuestEvent(kind, generation, 0, 0.0, {"ev": kind, **fields})


def a_good_run() -> list[GuestEvent]:
    """Linux 7.3.4, khorig, Linux 7.3.4."""
    log = [
        "KHO: found kexec handover data.",
        "KHO: exec from: khorig-0.1.0 (count 2)",
        "Revived memory reservation 'reference' from KHO",
        "test_kho: KHO restore succeeded",
    ]
    return [
        event("boot", 1, version="7.3.4"),
        event("reserved", 1, ok=True),
        event("boot", 2, version="0.1.0"),
        event("kho_test", 2, ok=True),
        event("boot", 3, version="7.3.4"),
        *(event("kernel-log", 3, text=text) for text in log),
        event("reserved", 3, ok=True),
        event("liveupdate", 3, ok=True),
    ]


def test_a_good_run_meets_every_expectation() -> None:
    expectations = Expectations(spec_of(*LINUX_KHORIG_LINUX))
    for one in a_good_run():
        expectations.take(one)
    assert expectations.finish() == []


@pytest.mark.parametrize(
    ("left_out", "subject"),
    [
        (1, "reserve_mem"),
        (3, "kho_test"),
        (5, "linux handover"),
        (6, "linux record"),
        (7, "linux reserve_mem"),
        (8, "linux test_kho"),
        (9, "reserve_mem"),
        (10, "liveupdate"),
    ],
)
def test_whatever_was_not_said_is_named(left_out: int, subject: str) -> None:
    expectations = Expectations(spec_of(*LINUX_KHORIG_LINUX))
    for number, one in enumerate(a_good_run()):
        if number != left_out:
            expectations.take(one)
    (finding,) = expectations.finish()
    assert finding.what.startswith(f"{subject}: generation") and finding.rule == LINUX_REPORTS


def test_the_wrong_release_before_is_found() -> None:
    expectations = Expectations(spec_of("khorig", "linux-7.3"))
    expectations.take(event("boot", 1, version="0.1.0"))
    expectations.take(event("boot", 2, version="7.3.4"))
    expectations.take(event("kernel-log", 2, text="KHO: exec from: 7.3.4 (count 1)"))
    assert any(finding.what.startswith("linux record: ") for finding in expectations.finish())


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("WARNING: mm/page_alloc.c:1 at x", Verdict.CRASH),
        ("BUG: Bad page state", Verdict.CRASH),
        ("BUG: KASAN: slab-use-after-free in kho_restore_page+0x10/0x20", Verdict.CRASH),
        ("BUG: KFENCE: out-of-bounds read in kho_preserve_folio+0x10/0x20", Verdict.CRASH),
        ("test_kho: KHO restore failed", Verdict.FAIL),
    ],
)
def test_bad_words_are_always_on(text: str, verdict: Verdict) -> None:
    words = LinuxMonitor(spec_of("linux-7.3", "linux-7.3"))
    [finding] = words.take(event("kernel-log", 2, text=text))
    assert (finding.verdict, finding.generation) == (verdict, 2)
    assert not words.take(event("kernel-log", 2, text="KHO: found kexec handover data."))


def test_a_panic_comes_with_what_led_to_it() -> None:
    words = GuestMonitor(spec_of("linux-7.3", "linux-7.3"))
    for text in (
        "[    0.000000] Zone ranges: start_kernel+0x1/0x2",
        "[    0.000000] Unable to handle kernel paging request at virtual address ffffffffc0000020",
        "[    0.000000] Mem abort info:",
        "[    0.000000] pc : _find_next_bit+0x1c/0x54",
        "[    0.000000]  kho_memory_init_early+0xc4/0x150",
        "[    0.000000] Kernel panic - not syncing: Attempted to kill the idle task!\r",
        "[    0.000000] ---[ end Kernel panic - not syncing: Attempted to kill the idle task! ]---",
    ):
        assert not words.linux_panicked or "end Kernel" in text
        words.on_text(text)
    assert words.linux_panicked
    [finding] = words.finish(2)
    assert (finding.what, finding.generation, finding.verdict) == (
        "Kernel panic - not syncing: Attempted to kill the idle task!", 2, Verdict.CRASH,
    )  # fmt: skip
    assert finding.evidence == (
        "Unable to handle kernel paging request at virtual address ffffffffc0000020",
        "pc : _find_next_bit+0x1c/0x54",
        "kho_memory_init_early+0xc4/0x150",
    )


@pytest.mark.parametrize("reported", [True, False])
def test_the_words_of_a_refusal_are_left_to_its_event(reported: bool) -> None:
    """As a finding they would come before it, when memory that the Linux took for its own is still
    taken for lost."""
    words = LinuxMonitor(spec_of("khorig", "linux-7.3"))
    text = "KHO: setup: handover FDT (0x4004b000) is incompatible with 'kho-v4': 1"
    assert not words.take(event("kernel-log", 2, text=text))
    assert not words.take(event("kernel-log", 2, text="KHO: disabling KHO revival"))
    if reported:
        assert not words.take(event("refused", 2, cause="compatible-mismatch", text=text))
    expected = [] if reported else [f"Linux refused the handover: {text}"]
    assert [finding.what for finding in words.finish()] == expected


def test_an_expected_refusal_is_no_bad_word() -> None:
    words = LinuxMonitor(spec_of("khorig", "linux-7.3", expected_refusals={2: "refused"}))
    assert not words.take(event("kernel-log", 2, text="KHO: disabling KHO revival"))


@pytest.mark.parametrize(
    ("kernels", "refused", "actions"),
    [
        ("kLkLL", (), ["", "create", "", "retrieve,create", "retrieve"]),
        ("LLk", (), ["create", "retrieve,offer", ""]),
        ("Lk", (), ["offer", ""]),
        ("LLL", (2,), ["create", "create", "retrieve"]),
        ("LkL", (2,), ["create", "", ""]),
        ("kL", (), ["", ""]),
    ],
)
def test_every_linux_hands_its_sessions_to_the_next(
    kernels: str, refused: tuple[int, ...], actions: list[str]
) -> None:
    names = ("khorig" if letter == "k" else "linux-7.3" for letter in kernels)
    spec = spec_of(*names, expected_refusals=dict.fromkeys(refused, "refused"))
    assert [spec.session_action(number + 1) for number in range(len(kernels))] == actions


def test_command_lines_carry_the_generation() -> None:
    spec = spec_of(*LINUX_KHORIG_LINUX, linux_options=("mitigations=off",))
    assert "khorig.generation=3" in spec.command_line(3)
    assert spec.command_line(3).endswith("mitigations=off")
    assert "generation=2 generations=3" in spec.command_line(2)
    assert "reserve_mem" not in spec.command_line(2)


def test_an_option_may_be_for_one_generation() -> None:
    spec = spec_of(*LINUX_KHORIG_LINUX, linux_options=("3:kho=off", "quiet"))
    assert spec.command_line(1).endswith(" quiet") and "kho=off" not in spec.command_line(1)
    assert spec.command_line(3).endswith("kho=off quiet")


@pytest.mark.parametrize(("given", "renamed"), [("scratch", "bootmem"), ("bootmem", "scratch")])
def test_a_linux_is_told_the_size_of_scratch_by_both_names(given: str, renamed: str) -> None:
    spec = spec_of(*LINUX_KHORIG_LINUX, linux_options=(f"quiet 3:x kho_{given}=8M,8M,4M",))
    words = spec.command_line(3).split()
    assert {f"kho_{given}=8M,8M,4M", f"kho_{renamed}=8M,8M,4M"} <= {*words}
    both = spec_of("linux-7.3", "khorig", linux_options=("1:kho_scratch=1%", "kho_bootmem=2%"))
    assert both.command_line(1).endswith(" kho_scratch=1% kho_bootmem=2%")
    khorig = spec_of("linux-7.3", "khorig", extra_options=("kho_scratch=8M,8M,4M",))
    assert "bootmem" not in khorig.command_line(2)


def test_flags_of_kexec_are_on_the_command_line_of_the_kernel_that_loads() -> None:
    spec = spec_of(
        "linux-7.3",
        "khorig",
        "linux-7.3",
        "linux-7.2",
        kexec_flags=("1:no-cma", "force-dtb,no-cma"),
    )
    words = [spec.command_line(generation).split() for generation in (1, 2, 3, 4)]
    found = [[word for word in line if "kexec" in word] for line in words]
    assert found == [["khorig.kexec=no-cma,force-dtb"], [], ["khorig.kexec=force-dtb,no-cma"], []]
    assert spec.first(1).kexec_flags == ("force-dtb,no-cma",)
    assert "--kexec-flag 1:no-cma --kexec-flag force-dtb,no-cma" in rerun_command(spec)
    assert spec.id.endswith("-1-no-cma-force-dtb-no-cma")


@pytest.mark.parametrize(("flags", "is_missing"), [("0x18", False), ("0x8", True), ("0x180", True)])
def test_a_kernel_that_reports_how_it_loads_has_the_flags(flags: str, is_missing: bool) -> None:
    expectations = Expectations(spec_of("linux-7.3", "khorig", kexec_flags=("no-cma",)))
    text = f"kexec_file: kexec_file_load: type:0, start:0x3e7fb0b0 head:0xca6002 flags:{flags}"
    expectations.take(event("kernel-log", 1, text=text))
    what = [finding.what for finding in expectations.finish()]
    assert any(text.startswith("kexec flags: generation 1") for text in what) == is_missing


def test_content_differs_by_owner_and_seed() -> None:
    assert len({content_state(s, owner) for s in (1, 2) for owner in ("a", "b")}) == 4


def test_hashes_of_all_memory_are_of_every_page_that_is_not_empty() -> None:
    memory = bytearray(4 << 20)
    memory[0x3000:0x3004] = b"abcd"
    memory[0x3FFFFF] = 1
    machine = RamMemory(GuestRam(memoryview(memory), [RamRegion(0, len(memory), 0)]))
    before = hash_all(machine, GEOMETRY_4K)
    assert before.pages.frames.tolist() == [3, 0x3FF]
    memory[0x3000] = 0x62
    frames = np.array([0, 3, 5, 0x3FF], dtype=np.int64)
    assert before.of(frames).differing(hash_all(machine, GEOMETRY_4K).of(frames)).tolist() == [3]
    assert before.of(frames).differing(hash_pages(machine, frames, GEOMETRY_4K)).tolist() == [3]


def program_ends(number: int = 0, **how: int) -> GuestEvent:
    ends = {"errno": 0, "signal": 0, "status": 0, **how}
    return event("program", 1, number=number, path="/x", ok=not any(ends.values()), **ends)


def test_a_program_that_fails_has_its_last_words() -> None:
    words = GuestMonitor(spec_of(*LINUX_KHORIG_LINUX, programs=("1:/x 'a b'",)))
    words.on_text("before it began")
    assert not words.on_event(event("reserved", 1, ok=True))
    for number in range(20):
        words.on_text(f"line {number}\r\n")
    [finding] = words.on_event(program_ends(status=3))
    assert finding.what == "program: /x 'a b': exit status 3"
    assert finding.evidence == tuple(f"line {number}" for number in range(12, 20))
    assert words.explain(35) and words.finish(1) == []
    [other] = words.on_event(program_ends(signal=11))
    assert other.what.endswith("killed by signal 11 (SIGSEGV)") and other.evidence == ()
    assert words.on_event(program_ends()) == []


def test_a_program_that_does_not_end_is_named() -> None:
    words = GuestMonitor(spec_of(*LINUX_KHORIG_LINUX, programs=("1:/x",)))
    assert words.on_event(event("program-start", 1, number=0, path="/x")) == []
    words.on_text("still here\r\n")
    [finding] = words.finish(1)
    assert finding.what == "program: /x: did not end" and finding.evidence == ("still here",)


def test_a_program_that_was_not_run_is_named() -> None:
    programs = ("1:/x", "1:/y", "3:/z")
    expectations = Expectations(spec_of(*LINUX_KHORIG_LINUX, programs=programs))
    for one in (*a_good_run(), program_ends(0)):
        expectations.take(one)
    assert [finding.what for finding in expectations.finish()] == [
        "program: generation 1 did not report the end of /y",
        "program: generation 3 did not report the end of /z",
    ]
