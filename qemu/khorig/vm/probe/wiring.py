# SPDX-License-Identifier: BSD-3-Clause
"""How QEMU gets the probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence


@dataclass(frozen=True)
class ProbeWiring:
    """What QEMU inherits of a probe, and how it is told."""

    plugin: Path
    control: int
    socket: int
    options: tuple[str, ...]

    def arguments(self, ram: Sequence[int]) -> list[str]:
        """QEMU's arguments; `ram` are the descriptors of the files of guest RAM, in order."""
        name = str(self.plugin).replace(",", ",,")
        words = (name, f"control={self.control}", f"socket={self.socket}")
        return ["-plugin", ",".join((*words, *(f"ram={file}" for file in ram), *self.options))]
