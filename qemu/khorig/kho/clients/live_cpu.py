# SPDX-License-Identifier: BSD-3-Clause
"""A CPU that runs on across jumps, as its description has it (layout: khocore/abi/clients.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

LIVE_CPU_PATH = "/khorig/live-cpu"
LIVE_CPU_OWNER = "khorig/live-cpu"
LIVE_CPU_MAGIC = 0x7570632D6576696C
MAX_TABLES = 5
_HEAD = struct.Struct("<4Q")  # magic, hardware id, iterations, number of tables
_TABLES = struct.Struct(f"<{MAX_TABLES}Q")
_PAGE = struct.Struct("<QQ")
# The pages in the order of the description: name, writable, executable.
_ROLES = (
    ("text", False, True),
    ("stack", True, False),
    ("counter", True, False),
    ("mailbox", False, False),
)
LIVE_CPU_SIZE = _HEAD.size + _TABLES.size + len(_ROLES) * _PAGE.size
_COUNT = struct.Struct("<Q")


@dataclass(frozen=True)
class LivePage:
    """A page of the CPU."""

    role: str  # "text", "stack", "counter", "mailbox"
    physical: int
    virtual: int
    writable: bool
    executable: bool

    @property
    def owner(self) -> str:
        """What the page belongs to."""
        return f"{LIVE_CPU_OWNER}/{self.role}"


@dataclass(frozen=True)
class LiveCpu:
    """The description. Nothing of it is believed: rules compare it with tables and registers."""

    hardware_id: int  # APIC ID, affinity of MPIDR_EL1
    iterations: int  # of its loop, at most, when this was handed over
    tables: tuple[int, ...]  # physical addresses, the topmost first
    pages: tuple[LivePage, ...]

    def page(self, role: str) -> LivePage:
        """The page of that role."""
        return next(page for page in self.pages if page.role == role)

    @property
    def owned(self) -> tuple[tuple[str, int], ...]:
        """Owner and physical address of each page."""
        pages = [(page.owner, page.physical) for page in self.pages]
        tables = [(f"{LIVE_CPU_OWNER}/table {n}", at) for n, at in enumerate(self.tables)]
        return (*pages, *tables)

    @property
    def written(self) -> tuple[LivePage, ...]:
        """The pages that the CPU writes at any time."""
        return tuple(page for page in self.pages if page.writable)


def decode_live_cpu(memory: PhysicalMemory, blob: PhysRange, geometry: Geometry) -> LiveCpu:
    """Raises DecodeError: "live-cpu", "outside-ram"."""
    if blob.size != LIVE_CPU_SIZE:
        raise DecodeError("live-cpu", blob.begin, f"{blob.size} bytes, expected {LIVE_CPU_SIZE}")
    raw = read_bytes(memory, blob.begin, blob.size)
    magic, hardware_id, iterations, count = _HEAD.unpack_from(raw)
    if magic != LIVE_CPU_MAGIC:
        text = f"magic {magic:#018x}, expected {LIVE_CPU_MAGIC:#018x}"
        raise DecodeError("live-cpu", blob.begin, text)
    if not 0 < count <= MAX_TABLES:
        text = f"{count} page tables, expected 1 to {MAX_TABLES}"
        raise DecodeError("live-cpu", blob.begin, text)
    tables = _TABLES.unpack_from(raw, _HEAD.size)[:count]
    pages = []
    for number, (role, writable, executable) in enumerate(_ROLES):
        at = _HEAD.size + _TABLES.size + number * _PAGE.size
        physical, virtual = _PAGE.unpack_from(raw, at)
        pages.append(LivePage(role, physical, virtual, writable, executable))
    live = LiveCpu(hardware_id, iterations, tables, tuple(pages))
    _check(memory, blob, live, geometry)
    return live


def _check(memory: PhysicalMemory, blob: PhysRange, live: LiveCpu, geometry: Geometry) -> None:
    """Pages are distinct whole pages in RAM; virtual addresses are those of pages."""
    seen: dict[int, str] = {}
    for owner, physical in live.owned:
        if physical % geometry.page_size:
            raise DecodeError("live-cpu", blob.begin, f"{owner} at {physical:#018x} is no page")
        if not any(ram.contains(physical, geometry.page_size) for ram in memory.ranges):
            raise DecodeError("live-cpu", blob.begin, f"{owner} at {physical:#018x} is outside RAM")
        if physical in seen:
            text = f"{owner} and {seen[physical]} are both at {physical:#018x}"
            raise DecodeError("live-cpu", blob.begin, text)
        seen[physical] = owner
    for page in live.pages:
        if page.virtual % geometry.page_size:
            text = f"{page.owner} at virtual address {page.virtual:#018x}, expected that of a page"
            raise DecodeError("live-cpu", blob.begin, text)


def read_iterations(memory: PhysicalMemory, live: LiveCpu) -> int:
    """How often the loop has run by now. Raises OutsideRam."""
    raw = read_bytes(memory, live.page("counter").physical, _COUNT.size)
    return int(_COUNT.unpack(raw)[0])
