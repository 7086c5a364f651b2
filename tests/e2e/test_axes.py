# SPDX-License-Identifier: BSD-3-Clause
"""Every value of every axis of the hardware matrix, and each axis's fault: red where the axis
reveals it, and nowhere else."""

from __future__ import annotations

import dataclasses

import click
import pytest

from khorig.api.rig import Rig
from khorig.cli.run import specs_of
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import FAULT_FIRED
from khorig.run.axes.axis import CRASH, HANG, PASS, SILENT, Cell, Tier
from khorig.run.axes.read import cells, read_axes

_AXES = read_axes()
_VERDICTS = {PASS: Verdict.PASS, CRASH: Verdict.CRASH, HANG: Verdict.HANG}


def _each(tier: Tier, with_fault: bool) -> pytest.MarkDecorator:
    chosen = [cell for cell in cells(_AXES, tier) if cell.axis.fault or not with_fault]
    return pytest.mark.parametrize("cell", chosen, ids=[cell.id for cell in chosen])


def _spec(cell: Cell) -> KhorigRun:
    at = cell.value.words.index("--") if "--" in cell.value.words else len(cell.value.words)
    words, extra = cell.value.words[:at], cell.value.words[at:]
    try:
        (spec,) = specs_of((*words, "--machine", cell.machine, *extra))
    except click.UsageError as error:
        if "not fetched" in error.message:
            pytest.skip(error.message)
        raise
    return spec


def check_pass(rig: Rig, cell: Cell) -> None:
    rig.run_spec(_spec(cell)).expect_pass()


def check_fault(rig: Rig, cell: Cell) -> None:
    """What the fault leads to is what the axis says of it."""
    result = rig.run_spec(dataclasses.replace(_spec(cell), fault=cell.axis.fault))
    expected = cell.value.with_fault
    if expected in _VERDICTS:
        assert result.verdict is _VERDICTS[expected], str(result)
        return
    assert result.verdict is not Verdict.PASS, f"'{cell.axis.fault}' is not found: {result}"
    rule = result.findings[0].rule
    assert rule == (FAULT_FIRED if expected == SILENT else expected), str(result)


@_each(Tier.DEFAULT, with_fault=False)
def test_a_value_passes(rig: Rig, cell: Cell) -> None:
    check_pass(rig, cell)


@_each(Tier.DEFAULT, with_fault=True)
def test_a_fault_is_red_in_its_cells_only(rig: Rig, cell: Cell) -> None:
    check_fault(rig, cell)


@_each(Tier.NIGHTLY, with_fault=False)
def test_a_nightly_value_passes(rig: Rig, cell: Cell) -> None:
    check_pass(rig, cell)


@_each(Tier.NIGHTLY, with_fault=True)
def test_a_nightly_fault_is_red_in_its_cells_only(rig: Rig, cell: Cell) -> None:
    check_fault(rig, cell)
