# SPDX-License-Identifier: BSD-3-Clause
"""The scratch array."""

from __future__ import annotations

import struct
from typing import Sequence

from khorig.kho.layout import GEOMETRY_4K, Geometry
from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.memory import PhysicalMemory, PhysRange, range_at, read_bytes

ELEMENT = struct.Struct("<QQ")  # address, size
MAX_AREAS = 64  # khorig's limit; Linux has one per memory node and two more


def read_scratch(memory: PhysicalMemory, array: PhysRange) -> tuple[PhysRange, ...]:
    """The areas in the array, in its order, not yet checked (see `check_scratch`).

    Raises DecodeError: "scratch-length", "outside-ram".
    """
    count, rest = divmod(array.size, ELEMENT.size)
    if rest or not 1 <= count <= MAX_AREAS:
        raise DecodeError(
            "scratch-length",
            array.begin,
            f"{array.size} bytes, expected 1 to {MAX_AREAS} elements of {ELEMENT.size}",
        )
    raw = read_bytes(memory, array.begin, array.size)
    return tuple(PhysRange(begin, size) for begin, size in ELEMENT.iter_unpack(raw))


def has_area(memory: PhysicalMemory, areas: Sequence[PhysRange], or_empty: bool = False) -> bool:
    """Whether one at least is an area: whole pages that begin in RAM, none of them with `or_empty`.
    It tells a written array, wrong or not, from its place before the jump, where there are zeros or
    whatever was left."""
    return any(
        (area.size or or_empty and area.begin)
        and not (area.begin | area.size) % GEOMETRY_4K.page_size
        and range_at(memory.ranges, area.begin).contains(area.begin, 1)
        for area in areas
    )


def check_scratch(
    memory: PhysicalMemory,
    areas: Sequence[PhysRange],
    geometry: Geometry,
    lacks_crash_kernel: bool = False,
) -> list[Problem]:
    """Ids: "scratch-length" (no area, or only empty ones: Linux hands over an empty global area
    when all memory is low memory), "outside-ram", "scratch-unaligned", "scratch-overlap".

    A kernel that was booted with a handover has its crash kernel in scratch, as all that it sets
    aside early; with `lacks_crash_kernel` a part of an area may be missing in `memory`.
    """
    problems = Problems("scratch")
    if not any(area.size for area in areas):
        problems.add("scratch-length", 0, "there is no scratch area")
    for i, area in enumerate(areas):
        unit = geometry.scratch_alignment
        if area.begin % unit or area.size % unit:
            text = f"area {i} {area} is not made of whole {unit:#x} bytes"
            problems.add("scratch-unaligned", area.begin, text)
        is_there = PhysRange.overlaps if lacks_crash_kernel else PhysRange.contains
        if area.size and not any(is_there(r, area.begin, area.size) for r in memory.ranges):
            problems.add("outside-ram", area.begin, f"scratch area {i} {area}")
        for j, other in enumerate(areas[:i]):
            if area.overlaps(other.begin, other.size):
                text = f"areas {j} {other} and {i} {area} overlap"
                problems.add("scratch-overlap", area.begin, text)
    return problems.items
