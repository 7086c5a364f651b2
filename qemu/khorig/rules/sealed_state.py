# SPDX-License-Identifier: BSD-3-Clause
"""What is kept of a generation's memory from `sealed` on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from khorig.kho.clients.khorig import Clients, decode_clients
from khorig.kho.clients.scenario_state import ScenarioState, read_scenario_state
from khorig.kho.handover import Handover, decode_handover
from khorig.kho.layout import Geometry
from khorig.kho.owners import Owners
from khorig.kho.ownership import find_owners
from khorig.mem.errors import Problem
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes
from khorig.rules.page_hashes import PageHashes, hash_pages

_MAX_COPIES = 2048  # pages: structure is small, and its bytes are what people want to see


@dataclass(frozen=True, eq=False)
class SealedState:
    """The handover of one generation. Holds copies only, never views of guest memory."""

    generation: int
    scratch: tuple[PhysRange, ...]
    handover: Handover
    clients: Clients
    scenario: ScenarioState
    problems: tuple[Problem, ...]  # of reading clients and stores
    owners: Owners
    hashes: PageHashes  # of every preserved page
    node_hashes: PageHashes  # of the tree's pages, which nobody preserves
    copies: Mapping[int, bytes]  # by frame: root, fragments and nodes

    def node_name(self, frame: int, geometry: Geometry) -> str:
        """What a page of the tree is."""
        for node in self.handover.tree.nodes:
            if node.address == frame << geometry.page_shift:
                return f"radix node of level {node.level}, prefix {node.prefix:#x}"
        return ""


def take_sealed_state(
    memory: PhysicalMemory,
    root: int,
    generation: int,
    scratch: tuple[PhysRange, ...],
    geometry: Geometry,
) -> SealedState:
    """Reads and hashes everything that hangs from `root`. Raises DecodeError as `decode_handover`;
    smaller damage is noted in the parts."""
    handover = decode_handover(memory, root, geometry)
    clients = decode_clients(memory, handover, geometry)
    scenario = read_scenario_state(memory, clients.stores, geometry)
    owners = find_owners(handover, clients, scenario.owned, geometry)
    nodes = sorted(n.address >> geometry.page_shift for n in handover.tree.nodes)
    structure = nodes + [f.address >> geometry.page_shift for f in handover.fragments]
    return SealedState(
        generation=generation,
        scratch=scratch,
        handover=handover,
        clients=clients,
        scenario=scenario,
        problems=(*clients.problems, *scenario.problems),
        owners=owners,
        hashes=hash_pages(memory, owners.frames, geometry),
        node_hashes=hash_pages(memory, np.array(nodes, dtype=np.int64), geometry),
        copies={
            frame: read_bytes(memory, frame << geometry.page_shift, geometry.page_size)
            for frame in structure[:_MAX_COPIES]
        },
    )
