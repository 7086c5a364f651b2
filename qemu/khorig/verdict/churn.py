# SPDX-License-Identifier: BSD-3-Clause
"""The scenario `churn`, done again from the seed (docs/scenarios.md): what it preserved must be in
the tree, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from khorig.model import Finding
from khorig.verdict.random_stream import RandomStream
from khorig.verdict.scenario_options import number_option
from khorig.verdict.sealed_state import SealedState
from khorig.verdict.stop import Stop
from khorig.view.memory import PhysRange
from khorig.view.scenario_blocks import CHURN_PAGES, ChurnModel, blocks_of_model

CLAUSE = "churn model"
_DEFAULT_OPERATIONS = 20000
_ORDERS = 6
_TAIL = 0xFF


def expected_model(seed: int, operations: int) -> npt.NDArray[np.uint8]:
    """One byte per page of the region after all operations."""
    random = RandomStream("churn", seed)
    pages = bytearray(CHURN_PAGES)
    numbers = random.take(2 * operations).tolist()
    for first, second in zip(numbers[::2], numbers[1::2]):
        order = first % _ORDERS
        at = second % (CHURN_PAGES >> order) << order
        size = 1 << order
        if pages[at] == 1 + order:
            pages[at : at + size] = bytes(size)
        elif not any(pages[at : at + size]):
            pages[at : at + size] = bytes([1 + order]) + bytes([_TAIL]) * (size - 1)
    return np.frombuffer(bytes(pages), dtype=np.uint8)


def check_churn(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The guest's model is the one the seed decides, and the tree has exactly its blocks."""
    model = sealed.churn
    if model is None:
        return [stop.finding(CLAUSE, "there is no readable store 'churn'")]
    operations = number_option(stop.spec, "operations", _DEFAULT_OPERATIONS)
    expected = expected_model(stop.spec.seed + stop.generation, operations)
    return _compare_models(stop, model, expected) + _compare_blocks(stop, sealed, model, expected)


def _compare_models(
    stop: Stop, model: ChurnModel, expected: npt.NDArray[np.uint8]
) -> list[Finding]:
    wrong = np.flatnonzero(model.pages != expected)
    if not len(wrong):
        return []
    page = int(wrong[0])
    what = (
        f"page {page} of the region is {int(model.pages[page]):#04x} in the guest's model, "
        f"{int(expected[page]):#04x} by the seed ({len(wrong)} pages differ)"
    )
    address = model.region + (page << stop.geometry.page_shift)
    return [stop.finding(CLAUSE, what, address, "khorig/stores/churn")]


def _compare_blocks(
    stop: Stop, sealed: SealedState, model: ChurnModel, expected: npt.NDArray[np.uint8]
) -> list[Finding]:
    shift = stop.geometry.page_shift
    blocks = sealed.handover.blocks
    region = PhysRange(model.region, CHURN_PAGES << shift)
    inside = blocks.select(blocks.touching([region], shift))
    tracked = set(zip(inside.frames.tolist(), inside.orders.tolist()))
    wanted_blocks = blocks_of_model(ChurnModel(model.region, expected), stop.geometry)
    wanted = set(zip(wanted_blocks.frames.tolist(), wanted_blocks.orders.tolist()))
    findings = []
    for text, odd in (
        ("preserved, but not", tracked - wanted),
        ("not preserved, but", wanted - tracked),
    ):
        if odd:
            frame, order = min(odd)
            what = (
                f"block {frame << shift:#018x} of order {order} is {text} by the model "
                f"({len(odd)} such blocks)"
            )
            findings.append(stop.finding(CLAUSE, what, frame << shift, sealed.owners.name(frame)))
    return findings
