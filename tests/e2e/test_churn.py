# SPDX-License-Identifier: BSD-3-Clause
"""Random preserve and unpreserve: the tracker equals the model."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch


@pytest.mark.parametrize("seed", [1, 2, 3])
@each_arch
def test_the_tracker_equals_the_model(rig: Rig, machine: str, seed: int) -> None:
    rig.run(machine, "churn", seed=seed).expect_pass()
