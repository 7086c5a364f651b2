# SPDX-License-Identifier: BSD-3-Clause
"""The outcomes of all pairs of kernels on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from khorig.guest.chain_run import ChainRun, is_linux, split_build
from khorig.linux.grid.cell import Cell, judge_cell
from khorig.linux.grid.hops import Hops
from khorig.run.result import RunResult

Pair = tuple[str, str]


@dataclass(frozen=True)
class Grid:
    """Rows hand over to columns, each pair in one way or more."""

    arch: str
    machine: str
    kernels: tuple[str, ...]  # as labels; khorig last
    cells: Mapping[tuple[str, str, Hops], Cell]

    @property
    def in_order(self) -> Iterator[tuple[str, str, Hops, Cell]]:
        """All cells that there are, row by row."""
        for first in self.kernels:
            for second in self.kernels:
                for hops in Hops:
                    if (cell := self.cells.get((first, second, hops))) is not None:
                        yield first, second, hops, cell

    def json(self) -> dict[str, Any]:
        """For a document."""
        return {
            "arch": self.arch,
            "machine": self.machine,
            "kernels": list(self.kernels),
            "cells": [
                {"from": first, "to": second, "hops": hops.value, **cell.json()}
                for first, second, hops, cell in self.in_order
            ],
        }


def grids_of(results: Sequence[RunResult]) -> tuple[Grid, ...]:
    """One grid for each machine; none unless all runs are cells of a grid, each of its own, and
    there is more than one pair."""
    ways = [_way(result) for result in results]
    found = [(result, *way) for result, way in zip(results, ways) if way is not None]
    if len(found) < len(results) or len({(one, two) for _, _, one, two in found}) < 2:
        return ()
    keys = {(result.spec.machine, hops, one, two) for result, hops, one, two in found}
    if len(keys) < len(found):
        return ()
    grids = []
    for arch, machine in dict.fromkeys((r.spec.arch, r.spec.machine) for r in results):
        mine = [entry for entry in found if entry[0].spec.machine == machine]
        labels = _labels([name for _, _, one, two in mine for name in (one, two)])
        cells = {(labels[one], labels[two], hops): judge_cell(r) for r, hops, one, two in mine}
        grids.append(Grid(arch, machine, tuple(labels.values()), cells))
    return tuple(grids)


def _way(result: RunResult) -> tuple[Hops, str, str] | None:
    return Hops.of(result.spec.kernels) if isinstance(result.spec, ChainRun) else None


def _labels(names: Sequence[str]) -> dict[str, str]:
    """The names without their builds where that tells them apart, Linux before khorig."""
    ordered = sorted(dict.fromkeys(names), key=lambda name: not is_linux(name))
    short = [Path(split_build(name)[0]).name for name in ordered]
    return {name: label if short.count(label) == 1 else name for name, label in zip(ordered, short)}
