# SPDX-License-Identifier: BSD-3-Clause
"""UEFI runtime services memory, which only the firmware writes, when a kernel calls it."""

from __future__ import annotations

import xxhash

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.mem.memory import OutsideRam, PhysRange, read_bytes
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop
from khorig.rules.temporal.definitions import RUNTIME_SERVICES

FIRMWARE_OWNER = "firmware"
_PAGE = 4096  # bytes; UEFI's, on every architecture


class RuntimeServices:
    """Hashes the regions reported by the first generation at every later stop. A khorig never calls
    the firmware; a Linux is told of it, gives it virtual addresses and calls it, so what changes
    while a Linux runs is the firmware's own."""

    def __init__(self) -> None:
        self._regions: tuple[PhysRange, ...] = ()
        self._hashes: dict[PhysRange, tuple[int, ...]] = {}  # of each page
        self._since: dict[PhysRange, tuple[int, str]] = {}  # the stop of those hashes
        self._named: set[int] = set()  # generations that reported the regions

    def take(self, event: GuestEvent) -> list[Finding]:
        """Processes a `firmware` event. Later generations must report the same regions. Raises
        EventFieldError."""
        if event.kind != "firmware":
            return []
        self._named.add(event.generation)
        regions = _regions(event)
        if not self._regions:
            self._regions = regions
        if regions == self._regions:
            return []
        what = f"regions {_list(regions)}, the first generation had {_list(self._regions)}"
        return [Finding(RUNTIME_SERVICES, what, generation=event.generation)]

    def check(self, stop: Stop) -> list[Finding]:
        """For a khorig kernel: the regions are unchanged, and reported before `restored` and
        `sealed`."""
        findings = self.compare(stop)
        due = stop.at in ("restored", "sealed") and stop.generation not in self._named
        if due or not self._regions:
            findings.append(stop.finding(RUNTIME_SERVICES, "no 'firmware' event before this stop"))
        return findings

    def of_caller(self, stop: Stop) -> list[Finding]:
        """For a Linux: compares at its first instruction, and afterwards takes what is there."""
        if stop.at != "entry":
            self._hashes.clear()
            self._since.clear()
        return self.compare(stop)

    def compare(self, stop: Stop) -> list[Finding]:
        """One finding per region changed since it was first hashed; names the first changed
        page."""
        findings = []
        for region in self._regions:
            try:
                found = _hash_pages(stop, region)
            except OutsideRam as error:
                findings.append(stop.finding_of(RUNTIME_SERVICES, error.problem, FIRMWARE_OWNER))
                continue
            wanted = self._hashes.setdefault(region, found)
            self._since.setdefault(region, (stop.generation, stop.at))
            if found != wanted:
                changed = [n for n, (a, b) in enumerate(zip(found, wanted)) if a != b]
                page = region.begin + changed[0] * _PAGE
                what = (
                    f"{region} was written: page {page:#018x} has hash {found[changed[0]]:#018x}, "
                    f"had {wanted[changed[0]]:#018x} ({len(changed)} of {len(found)} pages)"
                )
                pages = (region.begin + n * _PAGE for n in changed)
                since = Changed.since(*self._since[region], _PAGE, pages)
                findings.append(
                    stop.finding(RUNTIME_SERVICES, what, page, FIRMWARE_OWNER, changed=since)
                )
        return findings


def _hash_pages(stop: Stop, region: PhysRange) -> tuple[int, ...]:
    content = read_bytes(stop.memory, region.begin, region.size)
    return tuple(
        xxhash.xxh64_intdigest(content[at : at + _PAGE]) for at in range(0, len(content), _PAGE)
    )


def _regions(event: GuestEvent) -> tuple[PhysRange, ...]:
    what = "event 'firmware': 'runtime'"
    value = event.fields.get("runtime")
    if not isinstance(value, list) or not all(isinstance(v, list) and len(v) == 2 for v in value):
        raise EventFieldError(f"{what} is {value!r}, expected a list of [begin, size]")
    return tuple(PhysRange(parse_address(v[0], what), parse_address(v[1], what)) for v in value)


def _list(regions: tuple[PhysRange, ...]) -> str:
    return " ".join(map(str, regions)) or "none"
