# SPDX-License-Identifier: BSD-3-Clause
"""Where everything that a handover consists of lies at the stops of a run."""

from __future__ import annotations

from typing import Iterator, Sequence

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.kho.anchors import scan
from khorig.kho.boot.handoff import find_handoff
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.candidates import find_candidates
from khorig.kho.clients.khorig import decode_clients
from khorig.kho.clients.linux import decode_linux_clients
from khorig.kho.clients.linux_owners import linux_blocks
from khorig.kho.clients.scenario_state import read_scenario_state
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.ownership import find_owners
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, RamMemory
from khorig.run.judging import StopContext
from khorig.run.poke.place import Place
from khorig.run.poke.written_memory import WrittenMemory
from khorig.run.tamper.handoff_source import find_handoff_source, find_scratch_source
from khorig.run.tamper.target import CannotTamper

HANDOFF = "hand-off"
SCRATCH_ARRAY = "scratch array"
RUNTIME_SERVICES = "firmware"
_PAGE = GEOMETRY_4K.page_size
_SHIFT = GEOMETRY_4K.page_shift


class Sights:
    """Follows a run from stop to stop. What a kernel has taken back can no longer be found from its
    root, so at `restored` it is where it was at the last stop before."""

    def __init__(self) -> None:
        self._handed_over: tuple[Place, ...] = ()
        self._runtime: tuple[Place, ...] = ()

    def on_event(self, event: GuestEvent) -> None:
        """Takes in where the memory of UEFI's runtime services is."""
        if event.kind == "firmware" and not self._runtime:
            self._runtime = tuple(_runtime_services(event))

    def at(self, context: StopContext) -> Sequence[Place]:
        """Every page that has a name at this stop; what cannot be read has none."""
        is_first = context.generation == 1
        if context.at == "restored" and not is_first:
            return (*self._handed_over, *self._runtime)
        if context.at == "entry" and is_first:
            return self._runtime
        memory = RamMemory(context.ram)
        root, handoff, scratch = _find(context, memory)
        if root is None:
            return self._runtime
        try:
            self._handed_over = tuple(_preserved(memory, root))
            nodes = tuple(_nodes(memory, root))
        except DecodeError:
            return self._runtime
        hand = (*_handoff(handoff), *_scratch_array(scratch))
        return (*self._handed_over, *nodes, *hand, *self._runtime)


def _find(
    context: StopContext, memory: RamMemory
) -> tuple[int | None, Handoff | None, PhysRange | None]:
    """The root, what names it to the next kernel, and the scratch array."""
    arch = context.machine.arch
    try:
        if context.at == "entry":
            assert context.boot is not None
            handoff = find_handoff(memory, arch, context.boot.address("parameters"))
            if handoff is None:
                return None, None, None
            return handoff.root.value, handoff, handoff.scratch_array
        root = _sealed_root(context)
        if root is None:
            return None, None, None
        source = find_handoff_source(memory, arch, root)
        at, areas = find_scratch_source(memory, source)
        return root, source, PhysRange(at, source.scratch_size.value)
    except (DecodeError, EventFieldError):
        return None, None, None
    except CannotTamper:
        return root, None, None


def _sealed_root(context: StopContext) -> int | None:
    """A Linux does not name it, so all of memory is looked at."""
    if "root" in context.event.fields:
        return context.event.address("root")
    memory = WrittenMemory(context.ram)
    candidates = find_candidates(memory, (), scan(memory), _SHIFT)
    whole = [candidate for candidate in candidates if candidate.holds_itself]
    return whole[0].address if whole else None


def _preserved(memory: PhysicalMemory, root: int) -> Iterator[Place]:
    handover = decode_handover(memory, root)
    clients = decode_clients(memory, handover)
    scenario = read_scenario_state(memory, clients.stores, GEOMETRY_4K)
    linux = linux_blocks(decode_linux_clients(memory, handover), GEOMETRY_4K)
    owners = find_owners(handover, clients, [*scenario.owned, *linux])
    for frame in owners.frames.tolist():
        yield Place(owners.name(frame), frame << _SHIFT, _PAGE)


def _nodes(memory: PhysicalMemory, root: int) -> Iterator[Place]:
    for node in decode_handover(memory, root).tree.nodes:
        name = f"radix node of level {node.level}, prefix {node.prefix:#x}"
        yield Place(name, node.address, _PAGE)


def _handoff(handoff: Handoff | None) -> Iterator[Place]:
    if handoff is not None:
        yield Place(HANDOFF, handoff.root.address, handoff.root.size)


def _scratch_array(array: PhysRange | None) -> Iterator[Place]:
    if array is not None:
        yield Place(SCRATCH_ARRAY, array.begin, array.size)


def _runtime_services(event: GuestEvent) -> Iterator[Place]:
    regions = event.fields.get("runtime")
    if not isinstance(regions, list):
        return
    for region in regions:
        try:
            begin, size = (parse_address(value, "a region of the firmware") for value in region)
        except (EventFieldError, TypeError, ValueError):
            continue
        for page in range(begin, begin + size, _PAGE):
            yield Place(RUNTIME_SERVICES, page, _PAGE)
