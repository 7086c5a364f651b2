# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
from pathlib import Path

import pytest
from peers import Chains, use_own_cache


@pytest.fixture
def chains(tmp_path: Path) -> Chains:
    """Real kernels under QEMU. What runs leave goes to Bazel's outputs where there are some."""
    use_own_cache()
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    return Chains(Path(outputs) if outputs else tmp_path / "out")
