# SPDX-License-Identifier: BSD-3-Clause
"""The registers of a CPU as QEMU's monitor prints them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Mapping

_MOST_CPUS = 256
_LONGEST = 1 << 16  # bytes of one CPU
_NUMBER = re.compile(r"\s*([0-9]{1,4})\s")
_REGISTER = re.compile(r"\b([A-Z][A-Z0-9]{0,5}) ?=([0-9a-f]{4,16})\b")


@dataclass(frozen=True)
class CpuState:
    """One CPU. What QEMU does not show is None or absent."""

    number: int  # in QEMU
    pc: int  # virtual address
    sp: int = 0
    frame: int = 0  # frame pointer; anything where code keeps none
    registers: Mapping[str, int] = field(default_factory=dict)  # by QEMU's name, in its order
    is_on: bool = True  # not waiting to be started, nor switched off
    halted: bool | None = None  # waits for an interrupt
    interrupts: bool | None = None  # whether it takes them
    user: bool = False  # at the privilege of a program

    @property
    def summary(self) -> str:
        """ "halted, interrupts off"; "" where QEMU shows neither."""
        if not self.is_on:
            return "off"
        words = ["halted"] if self.halted else []
        if self.interrupts is not None:
            words.append("interrupts " + ("on" if self.interrupts else "off"))
        return ", ".join([*words, *(["user mode"] if self.user else [])])


def cpu_blocks(text: str) -> list[tuple[int, str]]:
    """Number and text of each CPU in the output of `info registers -a`, at most 256 CPUs of 64 KiB;
    the text of a single CPU without number is that of CPU 0."""
    first, *blocks = re.split(r"^CPU#", text, maxsplit=_MOST_CPUS, flags=re.MULTILINE)
    if not blocks:
        return [(0, first[:_LONGEST])] if first.strip() else []
    found = []
    for block in blocks:
        if (number := _NUMBER.match(block)) is not None:
            found.append((int(number[1]), block[:_LONGEST]))
    return found


def registers_of(block: str) -> dict[str, int]:
    """The registers of a block by name; the first of a name counts."""
    found: dict[str, int] = {}
    for name, digits in _REGISTER.findall(block):
        found.setdefault(name, int(digits, 16))
    return found
