# SPDX-License-Identifier: BSD-3-Clause
"""What is kept of a generation's memory from `sealed` on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from khorig.verdict.page_hashes import PageHashes, hash_pages
from khorig.view.clients import LEDGER_STORE, Clients, LedgerArray, decode_clients, read_ledger
from khorig.view.errors import DecodeError, Problem
from khorig.view.handover import Handover, decode_handover
from khorig.view.layout import Geometry
from khorig.view.memory import PhysicalMemory, PhysRange, read_bytes
from khorig.view.owners import Owners, find_owners
from khorig.view.scenario_blocks import (
    BLOCKS_STORE,
    CHURN_STORE,
    ChurnModel,
    OwnedBlocks,
    blocks_of_model,
    read_block_list,
    read_churn_model,
)
from khorig.view.storm_model import (
    STORM_STORE,
    StormModel,
    read_storm_model,
    storm_blocks,
    storm_prizes,
)

_MAX_COPIES = 2048  # pages: structure is small, and its bytes are what people want to see


@dataclass(frozen=True, eq=False)
class SealedState:
    """The handover of one generation. Holds copies only, never views of guest memory."""

    generation: int
    scratch: tuple[PhysRange, ...]
    handover: Handover
    clients: Clients
    churn: ChurnModel | None  # of the scenario of that name
    storm: StormModel | None  # likewise
    ledger: LedgerArray | None
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
    problems = list(clients.problems)
    scenario: list[OwnedBlocks] = []
    ledger: LedgerArray | None = None
    churn: ChurnModel | None = None
    storm: StormModel | None = None
    try:
        if store := clients.stores.get(LEDGER_STORE):
            ledger = read_ledger(memory, store, geometry)
        if store := clients.stores.get(BLOCKS_STORE):
            scenario.append(OwnedBlocks("block", read_block_list(memory, store, geometry)))
        if store := clients.stores.get(CHURN_STORE):
            churn = read_churn_model(memory, store, geometry)
            scenario.append(OwnedBlocks("churn block", blocks_of_model(churn, geometry)))
        if store := clients.stores.get(STORM_STORE):
            storm = read_storm_model(memory, store, geometry)
            scenario.append(OwnedBlocks("storm block", storm_blocks(storm, geometry)))
            scenario.append(OwnedBlocks("storm prize", storm_prizes(storm, geometry)))
    except DecodeError as error:
        problems.append(error.problem)
    owners = find_owners(handover, clients, scenario, geometry)
    nodes = sorted(n.address >> geometry.page_shift for n in handover.tree.nodes)
    structure = nodes + [f.address >> geometry.page_shift for f in handover.fragments]
    return SealedState(
        generation=generation,
        scratch=scratch,
        handover=handover,
        clients=clients,
        churn=churn,
        storm=storm,
        ledger=ledger,
        problems=tuple(problems),
        owners=owners,
        hashes=hash_pages(memory, owners.frames, geometry),
        node_hashes=hash_pages(memory, np.array(nodes, dtype=np.int64), geometry),
        copies={
            frame: read_bytes(memory, frame << geometry.page_shift, geometry.page_size)
            for frame in structure[:_MAX_COPIES]
        },
    )
