# SPDX-License-Identifier: BSD-3-Clause
"""A file of a tmpfs."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.kho.clients.folio_array import FolioArray


@dataclass(frozen=True, eq=False)
class TmpfsFile:
    """A file in the root of a preserved mount."""

    name: str
    mount: int  # token of the mount, in the same session
    position: int
    size: int  # bytes
    array: FolioArray

    def __str__(self) -> str:
        memory = f"{self.size:#x} bytes in {len(self.array.folios)} folios"
        return f"file {self.name!r} of mount {self.mount:#x}, {memory}"
