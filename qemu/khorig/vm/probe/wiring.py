# SPDX-License-Identifier: BSD-3-Clause
"""How QEMU gets the probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProbeWiring:
    """What QEMU inherits of a probe, and how it is told."""

    plugin: Path
    control: int
    socket: int
    options: tuple[str, ...]

    def arguments(self, ram: int) -> list[str]:
        """QEMU's arguments; `ram` is the descriptor of the file of guest RAM."""
        name = str(self.plugin).replace(",", ",,")
        words = (name, f"control={self.control}", f"socket={self.socket}", f"ram={ram}")
        return ["-plugin", ",".join((*words, *self.options))]
