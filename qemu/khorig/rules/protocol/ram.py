# SPDX-License-Identifier: BSD-3-Clause
"""RAM used by a kernel."""

from __future__ import annotations

from typing import Sequence

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import RAM_USED
from khorig.rules.stop import Stop, decoded

# RAM that firmware may reserve: tables, the legacy area below 1 MiB and, under UEFI, its runtime
# services.
_FIRMWARE_BYTES = 2 << 20
_UEFI_BYTES = 16 << 20
_MOST_HOLES = 128  # of the kernel


def check_ram(stop: Stop) -> list[Finding]:
    """The frame table covers all RAM of the machine, except what firmware reserves."""
    if stop.facts.memory is None:
        return stop.no_event(RAM_USED, "memory")
    return decoded(stop, RAM_USED, "frame table", lambda: _check(stop))


def _check(stop: Stop) -> list[Finding]:
    shift = stop.geometry.page_shift
    holes = _holes_pages(stop.spec.extra_options) << shift
    limit = holes + (_UEFI_BYTES if stop.spec.boot == "uefi" else _FIRMWARE_BYTES)
    unused = 0
    places = []
    for area in stop.memory.ranges:
        first, last = area.begin >> shift, area.end >> shift
        absent = (last - first - stop.frames.ram_pages(first, last)) << shift
        unused += absent
        if absent:
            places.append(f"{absent >> 10} KiB of {area}")
    if holes and (upper := _unused_above_middle(stop)) < holes:
        what = f"{holes >> 10} KiB of holes in RAM, kernel uses all but {upper >> 10} KiB there"
        return [stop.finding(RAM_USED, what)]
    if unused <= limit:
        return []
    total = sum(area.size for area in stop.memory.ranges)
    what = f"kernel uses {(total - unused) >> 20} MiB of {total >> 20} MiB of RAM"
    return [stop.finding(RAM_USED, what, evidence=tuple(["unused:", *places]))]


def _holes_pages(options: Sequence[str]) -> int:
    """Pages of the holes that `holes=N` makes (docs/abi.md)."""
    counts = [option.partition("=")[2] for option in options if option.startswith("holes=")]
    count = int(counts[-1], 0) if counts and counts[-1].isdigit() else 0
    return sum(1 + number % 3 for number in range(min(count, _MOST_HOLES)))


def _unused_above_middle(stop: Stop) -> int:
    """Bytes of the upper half of RAM, where holes are, that the kernel does not use."""
    shift, rest = stop.geometry.page_shift, sum(area.size for area in stop.memory.ranges) // 2
    unused = 0
    for area in reversed(stop.memory.ranges):
        size = min(rest, area.size)
        first, last = (area.end - size) >> shift, area.end >> shift
        unused += (last - first - stop.frames.ram_pages(first, last)) << shift
        rest -= size
    return unused
