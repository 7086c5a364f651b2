# SPDX-License-Identifier: BSD-3-Clause
"""A handover in memory, decoded: the one model for a dump and for a stop of a run.

    with open_dump(path) as dump:
        snapshot = find_snapshot(dump)
        for block in snapshot.handover.blocks.frames: ...
        for fragment in snapshot.handover.fragments: ...
        snapshot.describe(frame)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Iterator, Mapping

import numpy as np

from khorig.kho.anchors import Anchor, Findings, scan
from khorig.kho.blocks import Int64Array
from khorig.kho.boot.efi import SystemTable, find_system_table
from khorig.kho.boot.handoff import find_handoff
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.candidates import Candidate, find_candidates
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.khorig import Clients, decode_clients
from khorig.kho.clients.linux import LinuxClients, decode_linux_clients
from khorig.kho.clients.linux_owners import decoded_of_luo, linux_blocks
from khorig.kho.clients.outside import decode_outside
from khorig.kho.clients.scenario_state import ScenarioState, read_scenario_state
from khorig.kho.frame_table import FrameTable, read_frame_table
from khorig.kho.handover import Handover, decode_handover
from khorig.kho.layout import GEOMETRY_4K, Geometry
from khorig.kho.owned_page import OwnedPage
from khorig.kho.owners import Owners
from khorig.kho.ownership import FRAGMENT_OWNER, find_owners, fragment_frames
from khorig.kho.scratch import has_area, read_scratch
from khorig.mem.errors import DecodeError, Error, Problem
from khorig.mem.formats.dump import Dump, DumpMemory
from khorig.mem.memory import PhysRange


class NoHandover(Error):
    """Memory without a handover that can be read; `candidates` is what looked like one, and
    `found` what a look at all of memory found."""

    def __init__(
        self, why: str, candidates: tuple[Candidate, ...] = (), found: Findings | None = None
    ) -> None:
        super().__init__(why)
        self.candidates = candidates
        self.found = found


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A handover and everything that hangs from it. A stop of a run is a dump of a machine that
    runs: what is read of its memory after the stop is not what it was."""

    dump: Dump
    candidates: tuple[Candidate, ...]  # all roots, the chosen one first
    geometry: Geometry
    handover: Handover
    clients: Clients
    linux: LinuxClients
    outside: Mapping[str, DecodedClient]  # by name, what decoders of clients have read
    scenario: ScenarioState  # of khorig's scenarios, out of their stores
    owners: Owners
    handoff: Handoff | None  # what names the root
    scratch: tuple[PhysRange, ...] | None  # None when nothing tells
    scratch_from: str  # who names scratch
    scanned: bool  # whether all of memory was looked at for what names a root
    frames: FrameTable | None  # khorig's page allocator, where the image says where it is
    problems: tuple[Problem, ...]  # of reading what no other part keeps
    system_tables: tuple[int, ...] = ()  # addresses of what may be EFI's
    named_at: tuple[int, ...] = ()  # addresses of fields of boot parameters that name the root

    @property
    def decoded(self) -> Iterator[tuple[str, DecodedClient]]:
        """What decoders have read of clients and of what LUO carries, by name and version."""
        yield from self.outside.items()
        yield from decoded_of_luo(self.linux)

    def __repr__(self) -> str:
        return (
            f"<{self.handover.codec.compatible} at {self.root:#x}: "
            f"{len(self.handover.blocks)} blocks, {self.owners.page_count} pages, "
            f"{len(self.handover.fragments)} fragments>"
        )

    @property
    def memory(self) -> DumpMemory:
        """The dump's."""
        return self.dump.memory

    @property
    def root(self) -> int:
        """Physical address of the root page."""
        return self.handover.root.address

    @cached_property
    def _nodes(self) -> Mapping[int, int]:
        """The place in the tracker's `nodes` of each of their frames."""
        shift = self.geometry.page_shift
        return {node.address >> shift: n for n, node in enumerate(self.handover.tree.nodes)}

    def _node(self, frame: int) -> str:
        place = self._nodes.get(frame)
        if place is None:
            return ""
        node = self.handover.tree.nodes[place]
        return f"radix node of level {node.level}, prefix {node.prefix:#x}"

    def describe(self, frame: int) -> str:
        """Whose a page is: an owner's, with its place there, a node of the tracker, or of an owner
        that claims it although it is not preserved (the first such page of each). "" for any
        other."""
        return self.owners.name(frame) or self._node(frame) or self._strays.get(frame, "")

    def locate(self, frame: int) -> OwnedPage | None:
        """Which page of which owner, to `find` it in another snapshot; None for one that is neither
        preserved and owned nor a node of the tracker."""
        page = self.owners.locate(frame)
        if page is not None and page.owner != FRAGMENT_OWNER:
            return page
        beyond = page.beyond if page else 0
        parts = (part for part, own in self._parts.items() if own == frame - beyond)
        return next((replace(part, beyond=beyond) for part in parts), None)

    def find(self, page: OwnedPage) -> int | None:
        """The frame of a page that `locate` has named, perhaps in another snapshot."""
        head = self._parts.get(replace(page, beyond=0))
        if head is None or not page.beyond:
            return self.owners.find(page) if head is None else head
        return head + page.beyond if self.locate(head + page.beyond) == page else None

    @cached_property
    def _parts(self) -> Mapping[OwnedPage, int]:
        """The frames of what is known by what it is, not by its place in a row: fragments and the
        nodes of the tracker."""
        parts = {OwnedPage(self._node(frame)): frame for frame in self._nodes}
        for fragment in self.handover.fragments[1:]:
            for page, frame in enumerate(fragment_frames(fragment, self.geometry)):
                parts.setdefault(OwnedPage(f"{FRAGMENT_OWNER} {fragment.path}", page), frame)
        return parts

    @cached_property
    def _strays(self) -> Mapping[int, str]:
        return {stray.frame: stray.owner for stray in self.owners.strays}

    @cached_property
    def firmware(self) -> SystemTable | None:
        """What UEFI left; None on a machine that it did not start."""
        return find_system_table(self.memory, places=self.system_tables)

    @cached_property
    def node_frames(self) -> Int64Array:
        """The page frames of the tracker's nodes, ascending."""
        return np.array(sorted(self._nodes), dtype=np.int64)

    @property
    def chosen(self) -> Candidate:
        """The root that all of this hangs from."""
        return self.candidates[0]

    @property
    def direction(self) -> str:
        """ "outgoing" while the kernel that wrote the handover runs, "incoming" once the next one
        does; "" when nothing tells. A jump moves boot parameters to scratch; before it they are
        elsewhere, or nowhere."""
        run, count = self.dump.run, self.chosen.generation
        if run is not None and count in (run.generation - 1, run.generation):
            return "outgoing" if count == run.generation else "incoming"
        if not self.scanned:
            return ""
        areas = self.scratch or ()
        arrived = any(area.contains(at, 1) for area in areas for at in self.named_at)
        return "incoming" if arrived else "outgoing"

    @property
    def arch(self) -> str | None:
        """From the file, or from what names the root."""
        if self.dump.arch or self.chosen.anchor is None:
            return self.dump.arch
        return "x86_64" if self.chosen.anchor.how.startswith("setup_data") else "arm64"


def find_snapshot(dump: Dump, root: int | None = None, generation: int | None = None) -> Snapshot:
    """Finds and reads the handover in a dump. `root` is the physical address of the root page where
    somebody knows it; `generation` picks the handover that so many jumps led to, when there are
    several.

    Raises NoHandover.
    """
    found = scan(dump.memory)
    named: list[tuple[int, str]] = []
    if root is not None:
        named = [(root, "the command line")]
        found = replace(found, roots=(), anchors=_naming(found, root))
    elif dump.run and dump.run.root is not None:
        named = [(dump.run.root, "the run that wrote the image")]
    candidates = find_candidates(dump.memory, named, found, dump.page_shift)
    if generation is not None:
        chosen = [c for c in candidates if c.generation == generation]
        if not chosen:
            known = ", ".join(str(c.generation) for c in candidates if c.generation is not None)
            raise NoHandover(
                f"no handover of generation {generation}; there are: {known or 'none'}",
                tuple(candidates),
            )
        candidates = chosen + [c for c in candidates if c not in chosen]
    elif dump.run and dump.run.root is not None and root is None:
        candidates.sort(key=lambda c: c.address != dump.run.root if dump.run else False)
    if not candidates:
        raise NoHandover(
            "no KHO root: no boot parameters name one and no page holds a kho-* FDT", (), found
        )
    if candidates[0].handover is None:
        raise NoHandover(f"no handover can be read: {candidates[0].error}", tuple(candidates))
    return _read(dump, tuple(candidates), candidates[0].handover, found)


def snapshot_of_stop(dump: Dump) -> Snapshot:
    """Reads the handover at a stop of a run without a look at all of memory: the root is what the
    guest names, or, where it does not, what the parameters that it was booted with name. Only the
    current version of the handover is taken, and nothing that is not preserved is followed.

    Raises NoHandover, DecodeError.
    """
    run = dump.run
    assert run is not None and dump.arch is not None, "a stop of a run"
    root, how = run.root, "the guest"
    if root is None and run.parameters is not None:
        handoff = find_handoff(dump.memory, dump.arch, run.parameters)
        if handoff is not None:
            root, how = handoff.root.value, f"the parameters at {run.parameters:#018x}"
    if root is None:
        raise NoHandover("neither the guest nor its boot parameters name a root")
    geometry = Geometry(dump.page_shift) if dump.page_shift else GEOMETRY_4K
    handover = decode_handover(dump.memory, root, geometry)
    candidate = Candidate(root, (how,), geometry, handover, None, None)
    return _read(dump, (candidate,), handover, None)


def _named_at(found: Findings, root: int) -> tuple[int, ...]:
    return tuple(anchor.handoff.root.address for anchor in _naming(found, root))


def _naming(found: Findings, root: int) -> tuple[Anchor, ...]:
    return tuple(a for a in found.anchors if a.handoff.root.value == root)


def _read(
    dump: Dump, candidates: tuple[Candidate, ...], handover: Handover, found: Findings | None
) -> Snapshot:
    geometry = candidates[0].geometry
    clients = decode_clients(dump.memory, handover)
    linux = decode_linux_clients(dump.memory, handover)
    scenario = read_scenario_state(dump.memory, clients.stores, geometry)
    outside = decode_outside(dump.memory, handover)
    problems = [*scenario.problems, *(p for client in outside.values() for p in client.problems)]
    owned = [*scenario.owned, *linux_blocks(linux, geometry)]
    found_by = [*outside.values(), *(client for _, client in decoded_of_luo(linux))]
    areas = [area for client in found_by for area in client.owned]
    owned += [blocks for client in found_by for blocks in client.blocks]
    handoff, scratch, told_by = _scratch(dump, candidates, found, problems)
    frames = None
    if dump.run and dump.run.frame_table:
        table, first, count = dump.run.frame_table
        try:
            frames = read_frame_table(dump.memory, table, first, count, geometry)
        except DecodeError as error:
            problems.append(replace(error.problem, subject="frames"))
    return Snapshot(
        dump=dump,
        candidates=candidates,
        geometry=geometry,
        handover=handover,
        clients=clients,
        linux=linux,
        outside=outside,
        scenario=scenario,
        owners=find_owners(handover, clients, owned, areas),
        handoff=handoff,
        scratch=scratch,
        scratch_from=told_by,
        scanned=found is not None,
        frames=frames,
        problems=tuple(problems),
        system_tables=found.system_tables if found else (),
        named_at=_named_at(found, candidates[0].address) if found else (),
    )


def _scratch(
    dump: Dump, candidates: tuple[Candidate, ...], found: Findings | None, problems: list[Problem]
) -> tuple[Handoff | None, tuple[PhysRange, ...] | None, str]:
    """The hand-off of the chosen root, scratch, and who says so. Scratch stays the same along a
    chain, so another hand-off's serves where that of the root is not there."""
    if found is None and dump.run is not None and dump.run.scratch:
        return (
            None,
            dump.run.scratch,
            "the guest",
        )  # it has sealed, and its hand-off is not yet made
    anchor = candidates[0].anchor
    handoff = anchor.handoff if anchor else None
    if dump.run and dump.run.parameters and dump.arch and handoff is None:
        try:
            told = find_handoff(dump.memory, dump.arch, dump.run.parameters)
            if told and told.root.value == candidates[0].address:
                handoff = told
        except (DecodeError, KeyError):
            pass  # the parameters may be gone; what names the root is looked for all the same
    told_by = anchor.how if anchor else "the parameters of the kernel"
    sources = [(handoff, told_by)] if handoff else []
    sources += [
        (other.handoff, other.how)
        for other in (found.anchors if found else ())
        if other is not anchor
    ]
    wrong: tuple[PhysRange, ...] = ()  # what the hand-off of this root says, if nobody else does
    for source, how in sources:
        try:
            areas = read_scratch(dump.memory, source.scratch_array)
        except DecodeError as error:
            if source is handoff:
                problems.append(replace(error.problem, subject="scratch-array"))
            continue
        if has_area(dump.memory, areas, or_empty=source is handoff):
            return handoff, areas, how
        if source is handoff and any(area.begin or area.size for area in areas):
            wrong = areas
    if dump.run and dump.run.scratch:
        return handoff, dump.run.scratch, "the run that wrote the image"
    if wrong:
        return handoff, wrong, told_by
    return handoff, None, ""
