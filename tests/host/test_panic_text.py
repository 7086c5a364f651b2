# SPDX-License-Identifier: BSD-3-Clause
"""Registers and backtraces that khorig's kernel prints when it panics."""

from __future__ import annotations

from rig import Rig, Script, event

from khorig.rules.finding import Verdict
from khorig.run.panic_text import cpus_in_panic

LINES = """\
  rax 0000000000000001  rbx ffffffff800e8990  rcx ffffffff800dfd60
  r9  0000000000000000  cs 0010  ss 0018  vector 14  error code 0x3
backtrace:
  ffffffff80005b84 handover::(anonymous namespace)::WriteByte+0x4
  ffffffff80004d82 KernelMain+0x22
CPU 0:
  ffffffff800027b6 arch::Pause+0x6
CPU 2 does not answer
""".splitlines()


def test_every_cpu_of_a_panic() -> None:
    own, first, silent = cpus_in_panic(LINES)
    assert (own.number, first.number, silent.number) == (1, 0, 2)
    assert own.registers == {
        "rax": 1, "rbx": 0xFFFFFFFF800E8990, "rcx": 0xFFFFFFFF800DFD60, "r9": 0,
    }  # fmt: skip
    assert [frame.pc for frame in own.frames] == [0xFFFFFFFF80005B84, 0xFFFFFFFF80004D82]
    assert first.frames[0].where == "0xffffffff800027b6 arch::Pause+0x6"
    assert (silent.frames, silent.error) == ((), "does not answer")


def test_words_that_are_no_backtrace_are_no_cpu() -> None:
    assert cpus_in_panic([]) == ()
    assert cpus_in_panic(["CPU 1:", "backtrace:", "  rax 12", "\x00", "x" * 9999]) == ()


def test_a_panic_is_in_the_verdict(rig: Rig) -> None:
    said = [["say", line] for line in LINES]
    start = event("boot", 1, handover=False)
    script: Script = [start, event("panic", 1, text="#PF"), *said, ["exit", 37]]
    result = rig.run(script, stops=())
    assert result.verdict is Verdict.CRASH
    assert [cpu.number for cpu in result.cpus] == [1, 0, 2]
