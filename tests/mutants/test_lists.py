# SPDX-License-Identifier: BSD-3-Clause
"""Every planted bug fits the tree."""

from __future__ import annotations

from pathlib import Path

from mutant_list import LISTS, faults, read_list, read_lists

# The checkout, out of Bazel's runfiles: a list may quote any file of it.
ROOT = Path(__file__).resolve().parents[2]


def test_every_entry_fits_the_tree() -> None:
    mutants = read_lists(ROOT)
    assert list(faults(mutants, ROOT)) == []


def test_no_list_is_empty() -> None:
    for path in (ROOT / LISTS).glob("*.toml"):
        assert read_list(path), path
