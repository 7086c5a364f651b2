# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of README and docs are what the tool makes today."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import make_pictures
import pytest

_PICTURES = Path("docs/pictures") if Path("docs").is_dir() else Path("../../docs/pictures")
_NAMES = (make_pictures.FAILED_RUN, make_pictures.MEMORY_MAP)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of new ones, kept where Bazel keeps outputs."""
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    folder = Path(outputs) if outputs else tmp_path_factory.mktemp("pictures")
    make_pictures.make(folder)
    return folder


@pytest.mark.parametrize("name", _NAMES)
def test_a_picture_is_fresh(made: Path, name: str) -> None:
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True)
    if " 7.2." not in version.stdout:
        pytest.skip("the pictures are made with QEMU 7.2, whose machines have other layouts")
    assert (made / name).read_text() == (
        _PICTURES / name
    ).read_text(), f"docs/pictures/{name} is stale: build the kernels, run scripts/make_pictures.py"


@pytest.mark.parametrize("name", _NAMES)
def test_a_picture_names_no_path_of_a_machine_and_no_date(made: Path, name: str) -> None:
    root = ElementTree.fromstring((made / name).read_text())
    shown = "\n".join("".join(element.itertext()) for element in root.iter())
    assert "/tmp" not in shown and "/root" not in shown and "/home" not in shown
    assert not [word for word in shown.split() if word.startswith("out/") and "latest" not in word]
