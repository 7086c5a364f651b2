# SPDX-License-Identifier: BSD-3-Clause
"""What khorig's scenarios say of their own state, out of their stores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping

from khorig.kho.clients.khorig import LEDGER_STORE, LedgerArray, Store, read_ledger
from khorig.kho.clients.scenario_blocks import (
    BLOCKS_STORE,
    CHURN_STORE,
    ChurnModel,
    OwnedBlocks,
    blocks_of_model,
    read_block_list,
    read_churn_model,
)
from khorig.kho.clients.storm_model import (
    STORM_STORE,
    StormModel,
    read_storm_model,
    storm_blocks,
    storm_contended,
)
from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.memory import PhysicalMemory


@dataclass(frozen=True, eq=False)
class ScenarioState:
    """What could be read of it; a part is None when its store is not there or is broken."""

    ledger: LedgerArray | None
    churn: ChurnModel | None  # of the scenario of that name
    storm: StormModel | None  # likewise
    owned: tuple[OwnedBlocks, ...]  # what scenarios keep besides their stores
    problems: tuple[Problem, ...]


def read_scenario_state(
    memory: PhysicalMemory, stores: Mapping[str, Store], geometry: Geometry
) -> ScenarioState:
    """Reads every store that is known, up to the first that is broken."""
    ledger: LedgerArray | None = None
    churn: ChurnModel | None = None
    storm: StormModel | None = None
    owned: list[OwnedBlocks] = []
    problems: tuple[Problem, ...] = ()
    try:
        if store := stores.get(LEDGER_STORE):
            ledger = read_ledger(memory, store)
        if store := stores.get(BLOCKS_STORE):
            owned.append(OwnedBlocks("block", read_block_list(memory, store)))
        if store := stores.get(CHURN_STORE):
            churn = read_churn_model(memory, store)
            owned.append(OwnedBlocks("churn block", blocks_of_model(churn, geometry)))
        if store := stores.get(STORM_STORE):
            storm = read_storm_model(memory, store)
            owned.append(OwnedBlocks("storm block", storm_blocks(storm, geometry)))
            owned.append(OwnedBlocks("storm contended page", storm_contended(storm, geometry)))
    except DecodeError as error:
        problems = (replace(error.problem, subject="store"),)
    return ScenarioState(ledger, churn, storm, tuple(owned), problems)
