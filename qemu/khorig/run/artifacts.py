# SPDX-License-Identifier: BSD-3-Clause
"""Folders for artifacts."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
import shutil
from pathlib import Path

from khorig.vm.build_outputs import source_root
from khorig.vm.errors import InfraError
from khorig.vm.partial_file import partial_file


# As new_session_folder calls them.
_SESSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\dZ(-\d+)?")
DRY_RUN = "dry-run"  # beside the sessions: what was made for command lines that were only printed


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


def hold_session(folder: Path) -> int:
    """Keeps `remove_sessions` of any process from taking the folder, until the returned descriptor
    is closed or this process ends. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def remove_sessions(out: Path, newest: int, dry_run: bool = False) -> tuple[list[Path], int]:
    """Removes all sessions below `out` but the newest ones and those that some process holds, and
    what dry runs have left. Returns the folders and the bytes that they took. `dry_run` removes
    nothing. Raises InfraError."""
    removed, size = [], 0
    try:
        found = [path for path in out.iterdir() if path.is_dir() and not path.is_symlink()]
        sessions = sorted(
            (path for path in found if _SESSION.fullmatch(path.name)),
            key=lambda path: (path.stat().st_mtime_ns, path.name),
        )
        old = sessions[: max(0, len(sessions) - newest)]
        for folder in (*old, *(path for path in found if path.name == DRY_RUN)):
            if not _is_held(folder):
                size += sum(p.lstat().st_blocks * 512 for p in (folder, *folder.rglob("*")))
                removed.append(folder)
                if not dry_run:
                    shutil.rmtree(folder)
        latest = out / "latest"
        if latest.is_symlink() and not latest.exists():
            latest.unlink()
    except FileNotFoundError as error:
        if error.filename != str(out):  # nothing has run yet
            raise InfraError(f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        raise InfraError(f"{error.filename or out}: {error.strerror}") from error
    return removed, size


def _is_held(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


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
