# SPDX-License-Identifier: BSD-3-Clause
"""Every planted bug fits the tree."""

from __future__ import annotations

from pathlib import Path

from mutant_list import LISTS, faults, read_list, read_lists


def test_every_entry_fits_the_tree() -> None:
    mutants = read_lists(Path())
    assert list(faults(mutants, Path())) == []


def test_no_list_is_empty() -> None:
    for path in LISTS.glob("*.toml"):
        assert read_list(path), path
