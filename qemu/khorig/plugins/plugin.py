# SPDX-License-Identifier: BSD-3-Clause
"""One entry point that could be loaded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from khorig.plugins.warning import PluginWarning


@dataclass(frozen=True)
class Plugin:
    """An object that a distribution adds to a group."""

    group: str  # "khorig.rules"
    name: str  # of the entry point
    distribution: str  # with its version: "khorig-netdev 1.0"
    value: object

    def refuse(self, why: str) -> None:
        """Warns that the object is not used."""
        text = f"plugin '{self.name}' of {self.distribution} ({self.group}) is not used: {why}"
        warnings.warn(PluginWarning(text), stacklevel=2)
