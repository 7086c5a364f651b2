# SPDX-License-Identifier: BSD-3-Clause
"""The scenario `churn`, recomputed from the seed (docs/scenarios.md): the tree must contain exactly
its blocks."""

from __future__ import annotations

import numpy as np

from khorig.kho.clients.scenario_blocks import CHURN_PAGES, ChurnModel, blocks_of_model
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import SCENARIO
from khorig.rules.protocol.scenarios.random_stream import RandomStream
from khorig.rules.protocol.scenarios.region_model import (
    Pages,
    compare_blocks,
    compare_pages,
    toggle_block,
)
from khorig.rules.protocol.scenarios.scenario_options import number_option
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

_DEFAULT_OPERATIONS = 20000
_ORDERS = 6


def expected_model(seed: int, operations: int) -> Pages:
    """One byte per page of the region after all operations."""
    random = RandomStream("churn", seed)
    pages = bytearray(CHURN_PAGES)
    numbers = random.take(2 * operations).tolist()
    for first, second in zip(numbers[::2], numbers[1::2]):
        order = first % _ORDERS
        at = second % (CHURN_PAGES >> order) << order
        toggle_block(pages, at, order)
    return np.frombuffer(bytes(pages), dtype=np.uint8)


def check_churn(stop: Stop, sealed: Record) -> list[Finding]:
    """The guest's model matches the seed, and the tree has exactly its blocks."""
    model = sealed.snapshot.scenario.churn
    if model is None:
        return [stop.finding(SCENARIO, "no readable store 'churn'")]
    operations = number_option(stop.spec, "operations", _DEFAULT_OPERATIONS)
    expected = expected_model(stop.spec.seed + stop.generation, operations)
    region = PhysRange(model.region, CHURN_PAGES << stop.geometry.page_shift)
    wanted = blocks_of_model(ChurnModel(model.region, expected), stop.geometry)
    findings = compare_pages(stop, "churn", (model.region, model.pages), expected)
    return findings + compare_blocks(stop, sealed, "churn block", region, wanted)
