# SPDX-License-Identifier: BSD-3-Clause
"""What khorig's kernel prints of its CPUs in a panic (kernel/cpus/panic.cc), as records."""

from __future__ import annotations

import re
from typing import Sequence

from khorig.vm.cpu_report import CpuReport, Frame

_REGISTER = re.compile(r"\b([a-z][a-z0-9]{1,5}) +([0-9a-f]{8,16})\b")
_FRAME = re.compile(r"\s+([0-9a-f]{16}) (\S.{0,400}\+0x[0-9a-f]{1,16})$")
_CPU = re.compile(r"CPU ([0-9]{1,3})(:| does not answer)$")
_MOST_REGISTERS = 64


def cpus_in_panic(lines: Sequence[str]) -> tuple[CpuReport, ...]:
    """The CPU that panicked with its registers, where an exception was the cause, then the others.
    Its number is the lowest that no other has. Empty without backtraces."""
    registers: dict[str, int] = {}
    frames: list[list[Frame]] = [[]]
    numbers: list[int] = []
    errors = [""]
    for line in lines:
        if (cpu := _CPU.match(line)) is not None:
            numbers.append(int(cpu[1]))
            frames.append([])
            errors.append("" if cpu[2] == ":" else "does not answer")
        elif (frame := _FRAME.match(line)) is not None:
            pc = int(frame[1], 16)
            frames[-1].append(Frame(pc, f"{pc:#018x} {frame[2]}"))
        elif not frames[0] and len(registers) < _MOST_REGISTERS:
            registers.update((name, int(digits, 16)) for name, digits in _REGISTER.findall(line))
    if not any(frames):
        return ()
    own = next(number for number in range(len(numbers) + 1) if number not in numbers)
    return tuple(
        CpuReport(number, "panicked" * (index == 0), registers if index == 0 else {}, tuple(f), e)
        for index, (number, f, e) in enumerate(zip([own, *numbers], frames, errors))
    )
