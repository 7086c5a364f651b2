# SPDX-License-Identifier: BSD-3-Clause
"""Loads entry points. Nothing that a distribution does wrong ends in an exception here."""

from __future__ import annotations

import functools
import warnings
from importlib import metadata
from typing import Sequence

from khorig.plugins.plugin import Plugin
from khorig.plugins.warning import PluginWarning


@functools.cache
def load_plugins(group: str) -> Sequence[Plugin]:
    """The objects of a group, by distribution and name. What cannot be loaded is a PluginWarning.
    Of two distributions with one name the first on the path counts, as for imports."""
    points: dict[tuple[str, str], metadata.EntryPoint] = {}
    seen: set[str] = set()
    for distribution in metadata.distributions():
        name = str(distribution.metadata["Name"] or "a distribution without a name")
        if name in seen:
            continue
        seen.add(name)
        label = f"{name} {distribution.metadata['Version'] or 'without version'}"
        try:
            for point in distribution.entry_points.select(group=group):
                points.setdefault((label, point.name), point)
        except Exception as error:  # whatever is in a file of somebody else
            text = f"the entry points of {label} cannot be read: {_reason(error)}"
            warnings.warn(PluginWarning(text), stacklevel=1)
    loaded = []
    for (label, _), point in sorted(points.items()):
        try:
            loaded.append(Plugin(group, point.name, label, point.load()))
        except (Exception, SystemExit) as error:  # code of somebody else
            Plugin(group, point.name, label, None).refuse(_reason(error))
    return loaded


def _reason(error: BaseException) -> str:
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
