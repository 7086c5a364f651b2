# SPDX-License-Identifier: BSD-3-Clause
"""Where QEMU has guest RAM, in its own words."""

from __future__ import annotations

import re
from typing import Iterable, Mapping, Sequence

from khorig.mem.guest_ram import RamRegion
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp
from khorig.vm.ram_file import RamBackend, RamMap

_VIEW = re.compile(r"^FlatView #\d+$", re.MULTILINE)
_MEMORY = re.compile(r'^ AS "memory", ', re.MULTILINE)
_RAM = re.compile(
    r"^\s+([0-9a-f]{1,16})-([0-9a-f]{1,16}) \(prio -?\d+, [a-z]+\): (\S+)(?: @([0-9a-f]{1,16}))?",
    re.MULTILINE,
)
_BLOCK = re.compile(r"^\s*(\S+)\s+\d+ [KMG]iB\s+0x([0-9a-f]{1,16})\s", re.MULTILINE)
# Of a PC's RAM behind these addresses the guest sees devices and ROM until firmware has switched
# them off.
_LEGACY_BEGIN, _LEGACY_END = 0xA0000, 0x100000


def ask_ram_map(qmp: Qmp, backends: Sequence[RamBackend]) -> RamMap:
    """Asks a QEMU whose guest has not run. Raises InfraError when not all of `backends` is RAM of
    the guest."""
    flat = qmp.monitor("info mtree -f").replace("\r\n", "\n")
    blocks = qmp.monitor("info ramblock").replace("\r\n", "\n")
    return ram_map(flat, blocks, backends)


def ram_map(flat: str, blocks: str, backends: Sequence[RamBackend]) -> RamMap:
    """The same from the texts of `info mtree -f` and `info ramblock`."""
    by_name = {backend.name: backend for backend in backends}
    views = [view for view in _VIEW.split(flat) if _MEMORY.search(view)]
    if len(views) != 1:
        raise InfraError("'info mtree -f' of QEMU lists no address space 'memory'")
    found = []
    for begin, last, name, at in _RAM.findall(views[0]):
        if backend := by_name.get(name):
            gpa, within = int(begin, 16), int(at or "0", 16)
            size = int(last, 16) - gpa + 1
            if size <= 0 or within + size > backend.size:
                raise InfraError(f"'info mtree -f' of QEMU: {size:#x} bytes of {name} at {gpa:#x}")
            found.append((backend, RamRegion(gpa, size, backend.offset + within)))
    pieces = [
        (backend, region)
        for backend in backends
        for region in _merged(region for owner, region in found if owner is backend)
    ]
    pieces.sort(key=lambda piece: piece[1].gpa)
    regions = _merged(region for _, region in pieces)
    total = sum(backend.size for backend in backends)
    if sum(region.size for region in regions) != total or _overlap(regions):
        listed = ", ".join(f"{r.gpa:#x}+{r.size:#x}" for r in regions) or "none"
        raise InfraError(f"of {total:#x} bytes of guest RAM QEMU maps: {listed}")
    starts = _reported(blocks, backends, regions[0].gpa)
    return RamMap(
        tuple(regions),
        tuple((region, starts[b.name] + region.offset - b.offset) for b, region in pieces),
    )


def _overlap(regions: Sequence[RamRegion]) -> bool:
    in_files = sorted(regions, key=lambda region: region.offset)
    return any(a.end > b.gpa for a, b in zip(regions, regions[1:])) or any(
        a.offset + a.size > b.offset for a, b in zip(in_files, in_files[1:])
    )


def _merged(regions: Iterable[RamRegion]) -> list[RamRegion]:
    merged: list[RamRegion] = []
    for region in sorted(regions, key=lambda region: region.gpa):
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.gpa - last.offset == region.gpa - region.offset
            and (last.end == region.gpa or _LEGACY_BEGIN <= last.end <= region.gpa <= _LEGACY_END)
        ):
            merged[-1] = RamRegion(last.gpa, region.end - last.gpa, last.offset)
        else:
            merged.append(region)
    return merged


def _reported(blocks: str, backends: Sequence[RamBackend], begin: int) -> Mapping[str, int]:
    """Where each backend begins in the addresses that plugins get: its place among QEMU's blocks of
    RAM, and that of its memory region in the one around it, which is guest memory, or has all
    nodes. Raises InfraError."""
    places = {name: int(at, 16) for name, at in _BLOCK.findall(blocks)}
    alone = backends[0].node is None
    try:
        return {b.name: places[b.name] + (begin if alone else b.offset) for b in backends}
    except KeyError as error:
        raise InfraError(f"'info ramblock' of QEMU does not list {error}") from error
