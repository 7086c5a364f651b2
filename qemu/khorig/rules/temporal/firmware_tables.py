# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel reads of UEFI: its tables, and the memory map that is handed on with them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

import xxhash

from khorig.guest.chain_run import is_linux
from khorig.kho.boot.boot_params import read_rsdp
from khorig.kho.boot.efi import FirmwareTable, SystemTable, find_system_table, read_again
from khorig.kho.boot.efi_map import EfiMap, read_efi_map
from khorig.kho.boot.memory_map import RAM, MapEntry, free_ranges, read_memory_map
from khorig.kho.boot.table_part import Part
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange, read_bytes
from khorig.rules.changed import Changed
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop, decoded
from khorig.rules.temporal.definitions import (
    FIRMWARE_HEADERS,
    FIRMWARE_MAP,
    FIRMWARE_TABLES,
    RSDP_HANDED_ON,
)

_OWNER = "firmware"
_MOST = 4  # findings of a rule


@dataclass(frozen=True)
class _Held:
    """A piece of a table at the first stop."""

    table: FirmwareTable
    part: Part
    digest: int

    @property
    def name(self) -> str:
        """ "ACPI 2.0 DSDT" """
        return f"{self.table.name} {self.part.name}".rstrip()


class FirmwareTables:
    """Finds the tables at the first stop of a run, and looks at them at every later one."""

    def __init__(self) -> None:
        self._system: SystemTable | None = None
        self._looked = False
        self._efi_map: EfiMap | None = None
        self._held: tuple[_Held, ...] = ()
        self._since = (0, "")  # the stop of the digests
        self._map: tuple[MapEntry, ...] | None = None  # of the first kernel that reports one
        self._map_of = 0  # its generation

    def check(self, stop: Stop) -> dict[str, list[Finding]]:
        """Findings of the rules that could be evaluated, by rule; causes come first."""
        if not self._looked:
            self._look(stop)
        if self._system is None:
            what = "no EFI system table in memory"
            return {FIRMWARE_TABLES: [stop.finding(FIRMWARE_TABLES, what, owner=_OWNER)]}
        parameters = stop.facts.parameters
        found: dict[str, list[Finding]] = {}
        if stop.at == "entry" and parameters is not None:
            found = self._handed_on(stop, parameters)
        tables = [*self.compare(stop), *found.pop(FIRMWARE_TABLES, ())]
        return {**found, FIRMWARE_HEADERS: self._headers(stop), FIRMWARE_TABLES: tables}

    def _handed_on(self, stop: Stop, parameters: int) -> dict[str, list[Finding]]:
        """By the boot parameters, of which only a khorig tells where they are."""
        looks: dict[str, Callable[[Stop, int], list[Finding]]] = {FIRMWARE_MAP: self._map_at}
        if stop.generation > 1:
            looks[FIRMWARE_TABLES] = self._reserved
            if stop.arch == "x86_64":
                looks[RSDP_HANDED_ON] = self._rsdp
        return {
            rule: decoded(stop, rule, _OWNER, functools.partial(look, stop, parameters))
            for rule, look in looks.items()
        }

    def compare(self, stop: Stop, dead: bool = False) -> list[Finding]:
        """One finding per table that is not what it was at the first stop. A kernel that has an
        initrd does not read the firmware's; one that is `dead` may have had none."""
        findings: list[Finding] = []
        for held in self._held:
            if held.part.changes or not _is_read(held.table, stop, dead):
                continue
            try:
                now = _digest(stop, held.part.area)
            except DecodeError as error:
                findings.append(stop.finding_of(FIRMWARE_TABLES, error.problem, _OWNER))
                continue
            if now != held.digest:
                findings.append(self._changed(stop, held))
        return findings[:_MOST]

    def _look(self, stop: Stop) -> None:
        self._looked = True
        self._since = (stop.generation, stop.at)
        if stop.facts.parameters is not None:
            try:
                self._efi_map = read_efi_map(stop.memory, stop.arch, stop.facts.parameters)
            except DecodeError:
                pass  # the parameters may be gone by now; the tables do not need them
        self._system = find_system_table(stop.memory, self._efi_map)
        if self._system is not None:
            self._held = tuple(
                _Held(table, part, _digest(stop, part.area))
                for table in self._system.tables
                for part in table.parts
            )

    def _headers(self, stop: Stop) -> list[Finding]:
        assert self._system is not None
        findings = []
        for table in read_again(stop.memory, self._system, self._efi_map).tables:
            for problem in table.problems if _is_read(table, stop) else ():
                what = f"{table.name}: {problem.id}: {problem.text}"
                findings.append(stop.finding(FIRMWARE_HEADERS, what, problem.address, _OWNER))
        return findings[:_MOST]

    def _changed(self, stop: Stop, held: _Held) -> Finding:
        area, size = held.part.area, stop.geometry.page_size
        pages = range(area.begin // size * size, area.end, size)
        what = (
            f"configuration table {held.name} at {area} changed since {self._since[1]} of "
            f"generation {self._since[0]}"
        )
        changed = Changed.since(*self._since, size, pages)
        return stop.finding(FIRMWARE_TABLES, what, area.begin, _OWNER, changed=changed)

    def _reserved(self, stop: Stop, parameters: int) -> list[Finding]:
        """No table lies in memory that this kernel is told is free."""
        free = free_ranges(read_memory_map(stop.memory, stop.arch, parameters))
        # khorig's loader takes such tables out of RAM, Linux's EFI stub does not.
        by_name = is_linux(stop.spec.kernel_of(1)) and bool(
            read_efi_map(stop.memory, stop.arch, parameters)
        )
        findings = []
        for held in self._held:
            area, kind = held.part.area, held.table.kind
            if not _is_read(held.table, stop) or (by_name and kind and kind.by_name):
                continue
            if any(place.overlaps(area.begin, area.size) for place in free):
                what = (
                    f"configuration table {held.name} -> {area} lies in memory that generation "
                    f"{stop.generation} is told is free"
                )
                findings.append(stop.finding(FIRMWARE_TABLES, what, area.begin, _OWNER))
        return findings[:_MOST]

    def _map_at(self, stop: Stop, parameters: int) -> list[Finding]:
        """Every region that is not RAM stays what the first kernel was told it is."""
        entries = read_memory_map(stop.memory, stop.arch, parameters)
        if self._map is None:
            self._map, self._map_of = entries, stop.generation
            return []
        findings = []
        for entry in _lost(self._map, entries):
            what = (
                f"{entry.kind} at {entry.area} in the memory map of generation {self._map_of} is "
                f"{_kinds(entry.area, entries)} in that of generation {stop.generation}"
            )
            findings.append(stop.finding(FIRMWARE_MAP, what, entry.area.begin, _OWNER))
        return findings[:_MOST]

    def _rsdp(self, stop: Stop, parameters: int) -> list[Finding]:
        assert self._system is not None
        table = self._system.table("ACPI 2.0") or self._system.table("ACPI")
        found = read_rsdp(stop.memory, parameters)
        if table is None or found == table.address:
            return []
        has = f"hands over the RSDP {found:#018x}" if found else "hands over no RSDP"
        what = f"boot_params {has}, the EFI configuration table has {table.name} at "
        return [stop.finding(RSDP_HANDED_ON, what + f"{table.address:#018x}", parameters, _OWNER)]


def _is_read(table: FirmwareTable, stop: Stop, dead: bool = False) -> bool:
    """Whether a kernel at this stop counts on a table. What a Linux does not read after a jump it
    does not keep."""
    kind = table.kind
    if kind is None or not (kind.with_initrd or dead):
        return False
    return not (kind.once and stop.arch == "x86_64" and is_linux(stop.spec.kernel_of(1)))


def _digest(stop: Stop, area: PhysRange) -> int:
    return xxhash.xxh64_intdigest(read_bytes(stop.memory, area.begin, area.size))


def _lost(before: Sequence[MapEntry], after: Sequence[MapEntry]) -> Iterator[MapEntry]:
    """Regions other than RAM of which a part is not of their kind any more. That a kernel reserves
    RAM for itself and its successors is right."""
    for entry in before:
        if entry.kind == RAM:
            continue
        at = entry.area.begin
        for other in after:
            if other.kind == entry.kind and other.area.begin <= at < other.area.end:
                at = other.area.end
        if at < entry.area.end:
            yield entry


def _kinds(area: PhysRange, entries: Sequence[MapEntry]) -> str:
    """What an area is in a map, in words."""
    kinds = dict.fromkeys(e.kind for e in entries if e.area.overlaps(area.begin, area.size))
    return " and ".join(kinds) or "missing"
