# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
from pathlib import Path

import pytest
from guest import Guest


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Real kernels under QEMU. What runs leave goes to Bazel's outputs where there are some."""
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    return Guest(Path(outputs) if outputs else tmp_path / "out")
