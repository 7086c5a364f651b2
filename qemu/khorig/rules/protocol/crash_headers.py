# SPDX-License-Identifier: BSD-3-Clause
"""The ELF headers that a crash kernel is given, read from the machine's RAM."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterable, Sequence

from khorig.mem.errors import Error
from khorig.mem.memory import OutsideRam, PhysicalMemory, PhysRange, range_at, read_bytes
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import CRASH_HEADERS
from khorig.rules.stop import Stop
from khorig.rules.temporal.crash_memory import LOW_MEMORY

_HEADER = struct.Struct("<4s4B8xHHIQQQIHHHHHH")  # ELF-64
_PROGRAM = struct.Struct("<IIQQQQQQ")
_CORE, _LOAD, _NOTE = 4, 1, 4
_MACHINES = {"x86_64": 62, "arm64": 183}
_MOST = 4096  # program headers: Linux has one for each area of RAM and each CPU that is possible
_SHOWN = 6


@dataclass(frozen=True)
class CoreHeaders:
    """What they describe."""

    notes: tuple[PhysRange, ...]
    loads: tuple[PhysRange, ...]


class DamagedHeaders(Error):
    """They are none; the message says why."""


def read_headers(memory: PhysicalMemory, address: int, arch: str) -> CoreHeaders:
    """Raises DamagedHeaders."""
    try:
        header = _HEADER.unpack(read_bytes(memory, address, _HEADER.size))
    except OutsideRam as error:
        raise DamagedHeaders(f"ELF headers: {error.problem.text}") from None
    magic, width, order, kind, machine = header[0], header[1], header[2], header[5], header[6]
    if magic != b"\x7fELF" or (width, order) != (2, 1):
        raise DamagedHeaders(f"{magic.hex()} {width} {order}, expected ELF of 64 bits")
    if kind != _CORE or machine != _MACHINES[arch]:
        raise DamagedHeaders(f"ELF of type {kind} for machine {machine}, expected a core of {arch}")
    at, size, count = header[9], header[13], header[14]
    if size != _PROGRAM.size or not 0 < count <= _MOST:
        raise DamagedHeaders(f"{count} program headers of {size} bytes")
    try:
        table = read_bytes(memory, address + at, count * size)
    except OutsideRam as error:
        raise DamagedHeaders(f"program headers: {error.problem.text}") from None
    parts = [_PROGRAM.unpack_from(table, number * size) for number in range(count)]
    return CoreHeaders(
        tuple(PhysRange(part[4], part[6]) for part in parts if part[0] == _NOTE),
        tuple(PhysRange(part[4], part[6]) for part in parts if part[0] == _LOAD),
    )


def check_headers(
    stop: Stop, address: int, own: Sequence[PhysRange], system_ram: Sequence[PhysRange]
) -> list[Finding]:
    """Against the machine's RAM and the RAM of the dead kernel, `system_ram`; `own` is what the
    crash kernel has."""
    try:
        headers = read_headers(stop.memory, address, stop.arch)
    except DamagedHeaders as error:
        return [stop.finding(CRASH_HEADERS, str(error), address, "elfcorehdr")]
    wrong = [*_wrong_notes(stop, headers), *_wrong_loads(stop, headers, own)]
    wrong += [
        (area.begin, f"PT_LOAD with {area}, which is no RAM of the dead kernel")
        for area in without(headers.loads, system_ram)
    ]
    left_out = [*own, LOW_MEMORY] if stop.arch == "x86_64" else own
    wrong += [
        (area.begin, f"RAM {area} is in no PT_LOAD: the dump lacks {area.size >> 10} KiB")
        for area in without(system_ram, [*headers.loads, *left_out])
    ]
    return [
        stop.finding(CRASH_HEADERS, text, where, "elfcorehdr") for where, text in wrong[:_SHOWN]
    ]


def _wrong_notes(stop: Stop, headers: CoreHeaders) -> Iterable[tuple[int, str]]:
    if not headers.notes:
        yield 0, "no PT_NOTE: the dump has no registers"
    for note in headers.notes:
        if not _in_ram(stop, note):
            yield note.begin, f"PT_NOTE {note} is not RAM"


def _wrong_loads(
    stop: Stop, headers: CoreHeaders, own: Sequence[PhysRange]
) -> Iterable[tuple[int, str]]:
    for load in headers.loads:
        if not _in_ram(stop, load):
            yield load.begin, f"PT_LOAD {load} is not RAM"
        for area in own:
            if area.overlaps(load.begin, load.size):
                yield load.begin, f"PT_LOAD {load} overlaps {area}, memory of the crash kernel"


def _in_ram(stop: Stop, area: PhysRange) -> bool:
    return range_at(stop.memory.ranges, area.begin).contains(area.begin, area.size)


def without(areas: Sequence[PhysRange], taken: Iterable[PhysRange]) -> list[PhysRange]:
    """What is left of areas."""
    left = [area for area in areas if area.size]
    for one in taken:
        pieces: list[PhysRange] = []
        for area in left:
            if not one.overlaps(area.begin, area.size):
                pieces.append(area)
                continue
            pieces.append(PhysRange(area.begin, max(0, one.begin - area.begin)))
            pieces.append(PhysRange(one.end, max(0, area.end - one.end)))
        left = [piece for piece in pieces if piece.size]
    return left
