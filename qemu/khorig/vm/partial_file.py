# SPDX-License-Identifier: BSD-3-Clause
"""Atomically written files."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Iterator

_lock = threading.Lock()
_partial: set[Path] = set()


@contextlib.contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yields the path to write to. It replaces `path` when the body ends and is removed when the
    body raises. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    with _lock:
        _partial.add(partial)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        with _lock:
            _partial.discard(partial)


def remove_partial_files() -> None:
    """Before the process ends without unwinding. Takes no lock: a signal handler calls this."""
    for partial in tuple(_partial):
        with contextlib.suppress(OSError):
            partial.unlink()
