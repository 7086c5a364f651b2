# SPDX-License-Identifier: BSD-3-Clause
"""The tests notice planted bugs."""

from __future__ import annotations

import mutants


def test_enough_bugs_are_noticed() -> None:
    assert mutants.main(["host-"]) == 0
