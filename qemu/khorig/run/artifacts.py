# SPDX-License-Identifier: BSD-3-Clause
"""Folders for artifacts."""

from __future__ import annotations

import contextlib
import datetime
import os
from pathlib import Path

from khorig.vm.build_outputs import source_root
from khorig.vm.errors import InfraError
from khorig.vm.partial_file import partial_file


def default_out() -> Path:
    """Default folder of sessions: Bazel's test outputs, or out/ in the checkout."""
    if kept := os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR"):
        return Path(kept)
    return (source_root() or Path.cwd()) / "out"


def new_session_folder(out: Path) -> Path:
    """Creates `out`/<UTC time> and links `out`/latest to it. Raises InfraError."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H.%M.%SZ")
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = new_folder(out, now)
        link = out / f".latest.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(folder.name)
        link.replace(out / "latest")
    except OSError as error:
        raise InfraError(f"{error.filename or out}: {error.strerror}") from error
    return folder


def new_folder(parent: Path, name: str) -> Path:
    """Creates `parent`/`name`, or `name`-2, -3, ... if it exists. Raises OSError."""
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1


def write_whole(path: Path, text: str) -> None:
    """Replaces a file atomically. Raises OSError."""
    with partial_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
