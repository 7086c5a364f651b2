# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of Linux 7.3 that the rig shows. A test that fails says that the bug is mended.

The ids are those of the catalogue of Kexec HandOver bugs that the rig was planned with.
"""

from __future__ import annotations

import pytest

from peers import Chains
from khorig.model import Verdict

LINUX = "linux-7.3"


@pytest.mark.parametrize("machine", ["q35"])
def test_g1_a_late_reserve_mem_lies_in_scratch(chains: Chains, machine: str) -> None:
    """On a boot with a handover memblock hands out scratch alone. A reserve_mem= that is new then
    lies there, cannot be preserved, and takes every older reservation down with it."""
    late = "reserve_mem=4M:4096:late"
    result = chains.run(
        machine, (LINUX,) * 3, linux_options=(f"2:{late}", f"3:{late}")
    )
    assert result.verdict is Verdict.FAIL
    assert "WARNING" in result.cause and "kho_preserve_pages" in result.cause
    assert result.findings[0].generation == 2
