# SPDX-License-Identifier: BSD-3-Clause
"""Files that are no dump."""

from __future__ import annotations

from pathlib import Path

from khorig.mem.errors import Error


class UnreadableDump(Error):
    """A file that holds no memory that can be read; `why` is one line."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why
