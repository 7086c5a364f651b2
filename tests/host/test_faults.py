# SPDX-License-Identifier: BSD-3-Clause
"""Faults are read from the ELF, and a list that cannot be read is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_kernel import build_elf

from khorig.run.faults import FaultInfo, read_faults
from khorig.vm.errors import InfraError


def test_all_faults_are_listed_by_name(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"chain": "x"}, faults=("zebra", "alpha"))
    assert read_faults(elf) == [
        FaultInfo(name, "words", ("R1", "R2"), 2) for name in ("alpha", "zebra")
    ]


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"chain": "x"}, faults=())
    with pytest.raises(InfraError, match="has no faults"):
        read_faults(elf)


def test_missing_bounds_are_an_error(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"chain": "x"}, bounds=False)
    with pytest.raises(InfraError, match="no symbol __faults_begin"):
        read_faults(elf)
