# SPDX-License-Identifier: BSD-3-Clause
"""The tests notice planted bugs."""

from __future__ import annotations

from pathlib import Path

import pytest

import mutants
from mutant_list import LISTS

# The checkout, out of Bazel's runfiles: any test of it may be run.
ROOT = Path(__file__).resolve().parents[2]
LISTED = {path.stem for path in (ROOT / LISTS).glob("*.toml")}
ARGUMENTS = {"host": ["host-"]} | {
    name: ["--of", name] for name in sorted(LISTED) if not name.startswith("host-")
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_enough_bugs_are_noticed(name: str) -> None:
    assert mutants.main(ARGUMENTS[name], ROOT) == 0
