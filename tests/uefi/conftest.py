# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
from pathlib import Path

import pytest
from firmware_guest import FirmwareGuest


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FirmwareGuest:
    """Real firmware and kernels under QEMU, with a volume that a test may change."""
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    out = Path(outputs) if outputs else tmp_path / "out"
    return FirmwareGuest(out, tmp_path / "build", monkeypatch.setenv)
