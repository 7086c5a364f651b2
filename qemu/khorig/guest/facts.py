# SPDX-License-Identifier: BSD-3-Clause
"""Events of a generation used to check its memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Sequence

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.guest.machine import DeviceStates
from khorig.guest.told_scratch import ToldScratch
from khorig.mem.memory import PhysRange

if TYPE_CHECKING:
    from khorig.guest.told_map import ToldMap


@dataclass(frozen=True)
class MemoryFacts:
    """The `memory` event."""

    table: int  # physical address of the frame table
    first_frame: int
    frame_count: int
    scratch: tuple[PhysRange, ...]


@dataclass(frozen=True)
class Segment:
    """A segment of the next kernel."""

    name: str
    area: PhysRange


@dataclass(frozen=True)
class Segments:
    """The `segments` event."""

    items: tuple[Segment, ...]
    entry: int


@dataclass(frozen=True)
class JumpPage:
    """A page that the copy of the next kernel uses through its page tables."""

    name: str
    rights: str  # that it needs: "r", "rw", "rx"
    address: int


@dataclass(frozen=True)
class TableFacts:
    """The tables of the stop `sealed`."""

    root: int  # physical
    levels: int
    format: str
    pages: tuple[JumpPage, ...]
    sources: tuple[Segment, ...]  # of the segments


@dataclass(frozen=True)
class CpuFacts:
    """The `cpus` event."""

    found: int
    online: int
    supported: int


@dataclass(frozen=True)
class FoundDevices:
    """The `found` event: what the kernel found on. PCI functions by bus, device and function as in
    a requester id."""

    masters: tuple[int, ...]
    interrupts: tuple[int, ...]
    watchdogs: tuple[int, ...]
    last_bus: int  # of those that it looked at
    virtio: int  # devices by MMIO
    console: bool


@dataclass
class GuestFacts:
    """The events of one generation."""

    parameters: int | None = None  # address of what the boot protocol passed
    protocol: str = ""  # that one: "pvh", "linux", "efi"
    image: int | None = None  # where the kernel lies
    memory: MemoryFacts | None = None
    cpus: CpuFacts | None = None
    segments: Segments | None = None
    levels: int | None = None  # of page tables
    found: FoundDevices | None = None
    devices: DeviceStates | None = None  # what the host saw at `entry` after a jump
    restored: GuestEvent | None = None
    refused: bool = False
    told: ToldScratch = field(default_factory=ToldScratch)  # by a Linux
    told_map: ToldMap | None = None  # by a Linux

    def take(self, event: GuestEvent) -> None:
        """Processes any event. Raises EventFieldError."""
        if event.kind == "boot":
            self.parameters = event.address("parameters")
            self.protocol = str(event.fields.get("protocol", ""))
            if "image" in event.fields:
                self.image = _addresses(event.fields["image"], 2, "event 'boot': 'image'")[0]
        elif event.kind == "mode":
            self.levels = event.number("levels")
        elif event.kind == "memory":
            self.memory = parse_memory(event)
        elif event.kind == "cpus":
            numbers = (event.number(name) for name in ("found", "online", "supported"))
            self.cpus = CpuFacts(*numbers)
        elif event.kind == "found":
            self.found = parse_found(event)
        elif event.kind == "segments":
            self.segments = parse_segments(event)
        elif event.kind == "restored":
            self.restored = event
        elif event.kind == "refused":
            self.refused = True
        elif event.kind == "debugfs":
            self.told.take(event)
        elif event.kind == "memory-map":
            from khorig.guest.told_map import ToldMap  # of a Linux only

            self.told_map = self.told_map or ToldMap()
            self.told_map.take(event)


def parse_found(event: GuestEvent) -> FoundDevices:
    """Raises EventFieldError."""
    console = event.fields.get("console")
    if not isinstance(console, bool):
        raise EventFieldError(f"event 'found': 'console' is {console!r}, expected a truth value")
    return FoundDevices(
        masters=_functions(event, "masters"),
        interrupts=_functions(event, "interrupts"),
        watchdogs=_functions(event, "watchdogs"),
        last_bus=event.number("last_bus"),
        virtio=event.number("virtio"),
        console=console,
    )


def _functions(event: GuestEvent, name: str) -> tuple[int, ...]:
    values = event.fields.get(name)
    if not isinstance(values, list):
        raise EventFieldError(f"event 'found': '{name}' is {values!r}, expected a list")
    return tuple(parse_address(value, f"event 'found': '{name}'") for value in values)


def parse_memory(event: GuestEvent) -> MemoryFacts:
    """Raises EventFieldError."""
    table, first_frame, frame_count = parse_frames(event)
    return MemoryFacts(table, first_frame, frame_count, parse_scratch(event))


def parse_frames(event: GuestEvent) -> tuple[int, int, int]:
    """The frame table of a `memory` event: its address, first frame and count. Raises
    EventFieldError."""
    frames = event.fields.get("frames")
    if not isinstance(frames, dict):
        raise EventFieldError(f"event 'memory': 'frames' is {frames!r}, expected an object")
    return (
        parse_address(frames.get("table"), "event 'memory': 'frames.table'"),
        _count(frames.get("first"), "event 'memory': 'frames.first'"),
        _count(frames.get("count"), "event 'memory': 'frames.count'"),
    )


def parse_scratch(event: GuestEvent) -> tuple[PhysRange, ...]:
    """The scratch areas of a `memory` event. Raises EventFieldError."""
    return tuple(
        PhysRange(*_addresses(area, 2, "event 'memory': 'scratch'"))
        for area in _items(event, "scratch")
    )


def parse_segments(event: GuestEvent) -> Segments:
    """Raises EventFieldError."""
    segments = _segments(_items(event, "list"), "event 'segments': 'list'")
    return Segments(segments, event.address("entry"))


def parse_tables(event: GuestEvent) -> TableFacts:
    """Raises EventFieldError."""
    what, value = "event 'stop': 'tables'", event.fields.get("tables")
    if not isinstance(value, dict) or not isinstance(value.get("format"), str):
        raise EventFieldError(f"{what} is {value!r}, expected an object with a format")
    pages = []
    for page in _list(value.get("pages"), f"{what}: 'pages'"):
        if not isinstance(page, list) or [type(item) for item in page[:2]] != [str, str]:
            raise EventFieldError(f"{what} has {page!r}, expected a name, rights and an address")
        pages.append(JumpPage(page[0], page[1], *_addresses(page[2:], 1, what)))
    return TableFacts(
        parse_address(value.get("root"), f"{what}: 'root'"),
        _count(value.get("levels"), f"{what}: 'levels'"),
        value["format"],
        tuple(pages),
        _segments(_list(value.get("sources"), f"{what}: 'sources'"), what),
    )


def _segments(items: Sequence[Any], what: str) -> tuple[Segment, ...]:
    segments = []
    for item in items:
        if not isinstance(item, list) or not item or not isinstance(item[0], str):
            raise EventFieldError(f"{what} has {item!r}, expected a name, begin and size")
        segments.append(Segment(item[0], PhysRange(*_addresses(item[1:], 2, what))))
    return tuple(segments)


def _items(event: GuestEvent, name: str) -> Sequence[Any]:
    return _list(event.fields.get(name), f"event '{event.kind}': '{name}'")


def _list(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise EventFieldError(f"{what} is {value!r}, expected a list")
    return value


def _addresses(value: object, count: int, what: str) -> list[int]:
    if not isinstance(value, list) or len(value) != count:
        raise EventFieldError(f"{what} has {value!r}, expected {count} addresses")
    return [parse_address(item, what) for item in value]


def _count(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise EventFieldError(f"{what} is {value!r}, expected a count")
    return value
