# SPDX-License-Identifier: BSD-3-Clause
"""Append-only files of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Mapping

Listener = Callable[[Mapping[str, Any]], None]


class Journal:
    """One JSON object a line, complete up to the last line written whatever happens next.

    Listeners get each object after it was written.
    """

    def __init__(self, path: Path, *listeners: Listener) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._listeners = listeners
        self._full = False

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError:
            pass  # disk full; reported by `write`

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends one object and tells the listeners. The first time that the disk is full this
        raises OSError, after the listeners were told; from then on the file stays as it is and only
        the listeners are told."""
        error: OSError | None = None
        if not self._full:
            try:
                self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            except OSError as caught:
                error, self._full = caught, True
        for listener in self._listeners:
            listener(record)
        if error is not None:
            raise error
