# SPDX-License-Identifier: BSD-3-Clause
"""The memory map of a cold boot against those that kernels get across a jump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence

from khorig.guest.chain_run import is_linux
from khorig.kho.boot.memory_map import RAM, RUNTIME_SERVICES, MapEntry, free_ranges, read_memory_map
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop, decoded
from khorig.rules.temporal.definitions import RAM_OF_COLD_BOOT

_OWNER = "memory map"
_OF_LINUX = "System RAM"  # in /proc/iomem
_LOW = 1 << 20  # below lies what firmware and real mode want, and each kernel trims it its own way
_PAGE = 4096
_LEAST_LOST = 1 << 20  # bytes; kernels leave out what is no whole page or block
_UNITS = (("GiB", 30), ("MiB", 20), ("KiB", 10))
_MOST = 4  # findings


@dataclass(frozen=True)
class _Map:
    """What a kernel takes for RAM, and the names of the rest."""

    generation: int
    ram: tuple[PhysRange, ...]
    others: tuple[tuple[PhysRange, str], ...]
    is_limited: bool = False

    def names(self, area: PhysRange) -> str:
        """What an area is, in words."""
        names = dict.fromkeys(
            name for place, name in self.others if place.overlaps(area.begin, area.size)
        )
        return " and ".join(f"'{name}'" for name in names) or "in no range"


class MemoryMaps:
    """Keeps the map of the first generation, and compares that of every later one with it."""

    def __init__(self) -> None:
        self._cold: _Map | None = None

    def check(self, stop: Stop) -> list[Finding]:
        """RAM that there was not at first, and RAM that a Linux has lost. Of a Linux after the
        event `memory-map`, of a khorig at its `entry`."""
        return decoded(stop, RAM_OF_COLD_BOOT, _OWNER, lambda: self._check(stop))

    def _check(self, stop: Stop) -> list[Finding]:
        now = _map_at(stop)
        if now is None:
            kind = "memory-map" if is_linux(stop.spec.kernel_of(stop.generation)) else "boot"
            return stop.no_event(RAM_OF_COLD_BOOT, kind)
        if not now.ram:
            return [stop.finding(RAM_OF_COLD_BOOT, "the memory map has no RAM", owner=_OWNER)]
        if self._cold is None:
            self._cold = now
            return []
        cold = self._cold
        findings = [
            stop.finding(RAM_OF_COLD_BOOT, _became(area, name, cold, now), area.begin, _OWNER)
            for area, name in _new(cold, now)
        ]
        lost = [area for area in _without(cold.ram, now.ram) if area.begin >= _LOW]
        may_lose = now.is_limited or not is_linux(stop.spec.kernel_of(stop.generation))
        if not may_lose and sum(area.size for area in lost) >= _LEAST_LOST:
            findings += [
                stop.finding(RAM_OF_COLD_BOOT, _gone(area, cold, now), area.begin, _OWNER)
                for area in lost
            ]
        return findings[:_MOST]


def _map_at(stop: Stop) -> _Map | None:
    """None when the guest has not told what it takes."""
    if is_linux(stop.spec.kernel_of(stop.generation)):
        told = stop.facts.told_map
        if told is None or not told.is_whole:
            return None
        ram = tuple(area for area, name in told.ranges if name == _OF_LINUX)
        others = tuple((area, name) for area, name in told.ranges if name != _OF_LINUX)
        return _Map(stop.generation, _joined(ram), others, told.is_limited)
    parameters = stop.facts.parameters
    if parameters is None:
        return None
    entries = read_memory_map(stop.memory, stop.arch, parameters)
    if stop.arch == "arm64":  # what the loader uses is reserved there; it is RAM all the same
        entries = tuple(e for e in entries if e.kind in (RAM, RUNTIME_SERVICES))
    return _Map(stop.generation, _joined(free_ranges(entries)), tuple(_named(entries)))


def _named(entries: Iterable[MapEntry]) -> list[tuple[PhysRange, str]]:
    return [(entry.area, entry.kind) for entry in entries if entry.kind != RAM]


def _joined(areas: Iterable[PhysRange]) -> tuple[PhysRange, ...]:
    """Ascending, neighbours as one."""
    joined: list[PhysRange] = []
    for area in sorted(area for area in areas if area.size):
        last = joined[-1] if joined else None
        if last and last.end >= area.begin:
            joined[-1] = PhysRange(last.begin, max(last.end, area.end) - last.begin)
        else:
            joined.append(area)
    return tuple(joined)


def _without(areas: Sequence[PhysRange], taken: Sequence[PhysRange]) -> list[PhysRange]:
    """The parts of `areas` that `taken` does not have, both ascending."""
    left = []
    for area in areas:
        begin = area.begin
        for other in taken:
            if other.end <= begin or other.begin >= area.end:
                continue
            if other.begin > begin:
                left.append(PhysRange(begin, other.begin - begin))
            begin = min(other.end, area.end)
        if begin < area.end:
            left.append(PhysRange(begin, area.end - begin))
    return left


def _new(cold: _Map, now: _Map) -> Iterator[tuple[PhysRange, str]]:
    """RAM that there was not, and what it was."""
    new = _without(now.ram, cold.ram)
    for place, name in cold.others:
        if place.begin == 0 and place.size <= _PAGE:
            continue  # Linux reserves it for itself
        for area in new:
            begin, end = max(area.begin, place.begin), min(area.end, place.end)
            if begin < end:
                yield PhysRange(begin, end - begin), f"'{name}'"
    if cold.is_limited:  # the rest was left out on purpose
        return
    for area in _without(new, _joined(place for place, _ in cold.others)):
        if area.end > _LOW:
            yield area, "in no range"


def _became(area: PhysRange, name: str, cold: _Map, now: _Map) -> str:
    return (
        f"{_size(area.size)} at {area} are RAM in generation {now.generation}, "
        f"in generation {cold.generation}, the cold boot, {name}"
    )


def _gone(area: PhysRange, cold: _Map, now: _Map) -> str:
    return (
        f"{_size(area.size)} at {area}, RAM in generation {cold.generation}, the cold boot, are "
        f"{now.names(area)} in generation {now.generation}"
    )


def _size(size: int) -> str:
    for unit, shift in _UNITS:
        if size >= 1 << shift:
            return f"{size / (1 << shift):.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"
