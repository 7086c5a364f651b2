# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import pytest
from firmware_guest import FirmwareGuest


@pytest.fixture
def guest(khorig_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FirmwareGuest:
    """Real firmware and kernels under QEMU, with a volume that a test may change."""
    return FirmwareGuest(khorig_out, tmp_path / "build", monkeypatch.setenv)
