# SPDX-License-Identifier: BSD-3-Clause
"""Random preserve and unpreserve: the tracker equals the model."""

from __future__ import annotations

import pytest
from guest import ONE_OF_EACH, Guest, expect_pass


@pytest.mark.parametrize("seed", [1, 2, 3])
@ONE_OF_EACH
def test_the_tracker_equals_the_model(guest: Guest, machine: str, seed: int) -> None:
    expect_pass(guest.run(machine, "churn", seed=seed))
