# SPDX-License-Identifier: BSD-3-Clause
"""The tests notice planted bugs."""

from __future__ import annotations

from pathlib import Path

import mutants
from mutant_list import LISTS

# The checkout, out of Bazel's runfiles: any test of it may be run.
ROOT = Path(__file__).resolve().parents[2]


def test_enough_bugs_of_the_host_side_are_noticed() -> None:
    assert mutants.main(["host-"], ROOT) == 0


def test_enough_bugs_of_the_kernel_are_noticed() -> None:
    rooms = [f"{path.stem}/" for path in (ROOT / LISTS).glob("*.toml")]
    assert mutants.main([room for room in rooms if not room.startswith("host-")], ROOT) == 0
