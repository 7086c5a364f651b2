# SPDX-License-Identifier: BSD-3-Clause
"""Files of axes: what is in the tree holds together, and what is no axis is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.rules.registry import RULES
from khorig.run.axes.axis import OUTCOMES, Axis, Tier
from khorig.run.axes.read import AxisError, cells, read_axes, read_axis
from khorig.vm.machines import MACHINES

_AXES = read_axes()
_RIGHT = """\
summary = "levels"
fault = "levels-unmasked"
[[value]]
name = "5"
machines = ["q35"]
words = ["--append", "la57=on"]
with_fault = "KHR-I080"
"""


@pytest.mark.parametrize("axis", _AXES, ids=lambda axis: str(axis.name))
def test_an_axis_names_what_there_is(axis: Axis) -> None:
    for value in axis.values:
        assert set(value.machines) <= {machine.name for machine in MACHINES}
        if axis.fault:
            assert value.with_fault in (*OUTCOMES, *RULES), value.with_fault


@pytest.mark.parametrize("axis", _AXES, ids=lambda axis: str(axis.name))
def test_a_fault_is_revealed_by_a_value(axis: Axis) -> None:
    outcomes = {value.with_fault for value in axis.values}
    assert not axis.fault or outcomes - {"PASS", "silent"}


def test_an_axis_is_read(tmp_path: Path) -> None:
    path = tmp_path / "levels.toml"
    path.write_text(_RIGHT)
    axis = read_axis(path)
    (cell,) = cells([axis], Tier.DEFAULT)
    assert (cell.id, cell.value.words) == ("levels/5/q35", ("--append", "la57=on"))
    assert not list(cells([axis], Tier.NIGHTLY))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("summary", "sumary", "unknown key 'sumary'"),
        ("fault = ", "no_fault = ", "'with_fault' goes with 'fault'"),
        ('fault = "levels-unmasked"\n', "", "either 'fault' or 'no_fault'"),
        ('["q35"]', "[]", "no machine has it"),
        ('"la57=on"', "5", "5 is no text"),
        ("[[value]]", "[value]", "levels.toml"),
        ("words", 'tier = "weekly"\nwords', "weekly"),
        ("summary", "= summary", "levels.toml"),
        ('with_fault = "KHR-I080"\n', "", "'with_fault' goes with 'fault'"),
    ],
)
def test_what_is_no_axis_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    path = tmp_path / "levels.toml"
    path.write_text(_RIGHT.replace(old, new, 1))
    with pytest.raises(AxisError, match=why):
        read_axis(path)
