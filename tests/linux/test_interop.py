# SPDX-License-Identifier: BSD-3-Clause
"""The short one: Linux, khorig, Linux, once for each architecture."""

from __future__ import annotations

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch


@each_arch
def test_linux_takes_back_what_khorig_passed_on(rig: Rig, machine: str) -> None:
    result = rig.run(machine, kernels=("linux-7.3", "khorig", "linux-7.3"))
    result.expect_pass()
    assert result.generations == 3
    assert result.statistics.pages_compared > 2000
