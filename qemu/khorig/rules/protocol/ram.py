# SPDX-License-Identifier: BSD-3-Clause
"""RAM used by a kernel."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import RAM_USED
from khorig.rules.stop import Stop, decoded

# RAM that firmware may reserve: tables, the legacy area below 1 MiB and, under UEFI, its runtime
# services.
_FIRMWARE_BYTES = 2 << 20
_UEFI_BYTES = 16 << 20


def check_ram(stop: Stop) -> list[Finding]:
    """The frame table covers all RAM of the machine, except what firmware reserves."""
    if stop.facts.memory is None:
        return stop.no_event(RAM_USED, "memory")
    return decoded(stop, RAM_USED, "frame table", lambda: _check(stop))


def _check(stop: Stop) -> list[Finding]:
    shift = stop.geometry.page_shift
    limit = _UEFI_BYTES if stop.spec.boot == "uefi" else _FIRMWARE_BYTES
    unused = 0
    places = []
    for area in stop.memory.ranges:
        first, last = area.begin >> shift, area.end >> shift
        absent = (last - first - stop.frames.ram_pages(first, last)) << shift
        unused += absent
        if absent:
            places.append(f"{absent >> 10} KiB of {area}")
    if unused <= limit:
        return []
    total = sum(area.size for area in stop.memory.ranges)
    what = f"kernel uses {(total - unused) >> 20} MiB of {total >> 20} MiB of RAM"
    return [stop.finding(RAM_USED, what, evidence=tuple(["unused:", *places]))]
