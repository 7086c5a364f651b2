# SPDX-License-Identifier: BSD-3-Clause
"""Registers that a kernel is entered with, as its first instructions stored them in its image."""

from __future__ import annotations

import struct
from typing import Iterator

from khorig.mem.memory import OutsideRam, read_bytes
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import ENTERED, LEVEL
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

_OFFSET = 0x100  # from the first byte of the image (docs/abi.md)
_X86 = struct.Struct("<5Q")
_ARM = struct.Struct("<8Q")

_ALWAYS_1 = 1 << 1  # of RFLAGS
_FLAGS = {8: "TF", 9: "IF", 10: "DF", 14: "NT", 18: "AC"}
_CR0_ALLOWED = 0x80000031  # PG NE ET PE
_CR4_ALLOWED = 0x1020  # LA57 PAE
_EFER_ALLOWED = 0xD01  # NXE LMA LME SCE
_DAIF = 0x3C0
_SCTLR = {0: "M", 2: "C"}
_HCR_EL2 = {34: "E2H"}


def check_entered(stop: Stop, sealed: Record) -> list[Finding]:
    """The predecessor leaves nothing of its own in the registers."""
    image = stop.facts.image
    if image is None:
        return stop.no_event(ENTERED, "boot")
    record = _X86 if stop.arch == "x86_64" else _ARM
    try:
        words = record.unpack(read_bytes(stop.memory, image + _OFFSET, record.size))
    except OutsideRam as error:
        return [stop.finding(ENTERED, f"no record of the entry: {error}", image + _OFFSET)]
    wrong = _wrong_x86(words) if record is _X86 else _wrong_arm(words)
    return [stop.finding(ENTERED, what, owner="CPU 0") for what in wrong]


def _wrong_x86(words: tuple[int, ...]) -> Iterator[str]:
    flags, cr0, cr4, efer, _ = words
    if not flags & _ALWAYS_1:
        yield "the kernel did not record its entry"
        return
    yield from _set_bits("RFLAGS", flags, _FLAGS)
    for name, value, allowed in (
        ("CR0", cr0, _CR0_ALLOWED),
        ("CR4", cr4, _CR4_ALLOWED),
        ("EFER", efer, _EFER_ALLOWED),
    ):
        if value & ~allowed:
            yield f"{name} is {value:#x}, expected no bit but those of {allowed:#x}"


def _wrong_arm(words: tuple[int, ...]) -> Iterator[str]:
    _, *zero, daif, current, sctlr, hypervisor = words
    if not current:
        yield "the kernel did not record its entry"
        return
    for number, value in enumerate(zero, 1):
        if value:
            yield f"x{number} is {value:#x}, expected 0"
    if daif != _DAIF:
        yield f"DAIF is {daif:#x}, expected {_DAIF:#x}: all masked"
    yield from _set_bits("SCTLR", sctlr, _SCTLR)
    yield from _set_bits("HCR_EL2", hypervisor, _HCR_EL2)


def _set_bits(name: str, value: int, bits: dict[int, str]) -> Iterator[str]:
    names = [text for bit, text in bits.items() if value >> bit & 1]
    if names:
        yield f"{name} is {value:#x}, with {' and '.join(names)} set"


def check_level(stop: Stop) -> list[Finding]:
    """The machine is at the exception level that it was at when the predecessor was entered."""
    level, before = stop.level, stop.level_before
    if level is None and before is None:
        return [stop.finding(LEVEL, "QEMU shows no exception level")]
    if level == before:
        return []
    shown = ("nothing" if at is None else f"EL{at}" for at in (level, before))
    what = "entered at {}, the predecessor at {}".format(*shown)
    return [stop.finding(LEVEL, what, owner="CPU 0")]
