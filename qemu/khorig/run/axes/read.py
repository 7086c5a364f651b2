# SPDX-License-Identifier: BSD-3-Clause
"""Reads the axes out of their files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Iterator, Mapping

from khorig.mem.errors import Error
from khorig.run.axes.axis import Axis, AxisValue, Cell, Tier

_FOLDER = Path(__file__).parent
_AXIS = {"summary", "fault", "no_fault", "value"}
_VALUE = {"name", "machines", "words", "scenario", "tier", "with_fault"}


class AxisError(Error):
    """A file that is no axis."""


def read_axes(folder: Path = _FOLDER) -> list[Axis]:
    """All axes, by name. Raises AxisError, which names the file; OSError."""
    return [read_axis(path) for path in sorted(folder.glob("*.toml"))]


def cells(axes: list[Axis], tier: Tier) -> Iterator[Cell]:
    """Every value on every machine that has it."""
    for axis in axes:
        for value in axis.values:
            if value.tier is tier:
                yield from (Cell(axis, value, machine) for machine in value.machines)


def read_axis(path: Path) -> Axis:
    """The axis of a file. Raises AxisError, OSError."""
    try:
        return _axis(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        raise AxisError(f"{path.name}: {error}") from error


def _axis(name: str, table: Mapping[str, Any]) -> Axis:
    _check_keys(table, _AXIS)
    fault, reason = _text(table.get("fault", "")), _text(table.get("no_fault", ""))
    if bool(fault) == bool(reason):
        raise ValueError("expected either 'fault' or 'no_fault'")
    values = tuple(_value(row, bool(fault)) for row in table["value"])
    if not values or len({value.name for value in values}) != len(values):
        raise ValueError("no values, or two of the same name")
    return Axis(name, _text(table["summary"]), fault, reason, values)


def _value(row: Mapping[str, Any], has_fault: bool) -> AxisValue:
    _check_keys(row, _VALUE)
    if ("with_fault" in row) != has_fault:
        raise ValueError(f"value '{row.get('name')}': 'with_fault' goes with 'fault'")
    scenario = ("--scenario", _text(row["scenario"])) if "scenario" in row else ()
    value = AxisValue(
        name=_text(row["name"]),
        machines=tuple(map(_text, row["machines"])),
        words=(*scenario, *map(_text, row["words"])),
        tier=Tier(row.get("tier", Tier.DEFAULT.value)),
        with_fault=_text(row.get("with_fault", "")),
    )
    if not value.machines:
        raise ValueError(f"value '{value.name}': no machine has it")
    return value


def _check_keys(table: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(table) - known:
        raise ValueError(f"unknown key '{min(unknown)}'")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
