# SPDX-License-Identifier: BSD-3-Clause
"""Faults are read from the ELF, and a list that cannot be read is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


@pytest.fixture(scope="module")
def damaged_elf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Where a damaged ELF goes, and a whole one."""
    path = tmp_path_factory.mktemp("elf") / "k.elf"
    build_elf(path, {"chain": "x"})
    return path, path.read_bytes()


@settings(deadline=None)
@given(st.data())
def test_any_damage_is_an_error_or_a_list(
    damaged_elf: tuple[Path, bytes], data: st.DataObject
) -> None:
    path, whole = damaged_elf
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1) | st.integers(0, 63))
        damaged[at] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))])
    try:
        read_faults(path)
    except InfraError:
        pass
