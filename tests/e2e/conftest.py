# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
from pathlib import Path

import pytest
from guest import Guest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where runs leave what they leave: Bazel's outputs where there are some."""
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    return Path(outputs) if outputs else tmp_path / "out"


@pytest.fixture
def guest(out: Path) -> Guest:
    """Real kernels under QEMU."""
    return Guest(out)
