# SPDX-License-Identifier: BSD-3-Clause
"""Names that people mistype."""

from __future__ import annotations

import difflib
from typing import Iterable

import click

_FEW = 10


def unknown(kind: str, name: str, known: Iterable[str]) -> click.UsageError:
    """The error for a name that is none of `known`, with the nearest one if one is near."""
    names = list(known)
    if not name:
        return click.UsageError(f"no {kind} is named. There are: {', '.join(names)}.")
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if len(names) <= _FEW or not near:
        hint += f" There are: {', '.join(names)}."
    return click.UsageError(f"no {kind} '{name}'.{hint}")
