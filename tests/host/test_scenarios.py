# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios are read from the ELF, and a list that cannot be read is an error."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_kernel import build_elf

from khorig.run.faults import read_faults
from khorig.run.scenarios import ScenarioInfo, read_scenarios
from khorig.vm.errors import InfraError
from khorig.vm.symbols import Symbols


def test_all_scenarios_are_listed_by_name(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"zebra": "last", "chain": "many generations"})
    assert read_scenarios(elf) == [
        ScenarioInfo("chain", "many generations", False),
        ScenarioInfo("zebra", "last", False),
    ]


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {})
    with pytest.raises(InfraError, match="has no scenarios"):
        read_scenarios(elf)


def test_missing_bounds_are_an_error(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"chain": "x"}, bounds=False)
    with pytest.raises(InfraError, match="no symbol __scenarios_begin"):
        read_scenarios(elf)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" * 100])
def test_what_is_no_elf_is_an_error(tmp_path: Path, data: bytes) -> None:
    elf = tmp_path / "k.elf"
    elf.write_bytes(data)
    with pytest.raises(InfraError, match="cannot read"):
        read_scenarios(elf)


def test_a_cut_elf_is_an_error(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"chain": "x"})
    whole = elf.read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        elf.write_bytes(whole[:size])
        with pytest.raises(InfraError):
            read_scenarios(elf)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="cannot read"):
        read_scenarios(tmp_path / "none.elf")


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
    for read in (read_scenarios, read_faults):
        with contextlib.suppress(InfraError):
            read(path)
    Symbols(path).describe(0)


@pytest.fixture(scope="module")
def damaged_elf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Where a damaged ELF goes, and a whole one."""
    path = tmp_path_factory.mktemp("elf") / "k.elf"
    build_elf(path, {"chain": "x", "zebra": "y"})
    return path, path.read_bytes()
