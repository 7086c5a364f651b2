# SPDX-License-Identifier: BSD-3-Clause
"""Errors for unknown names, with suggestions."""

from __future__ import annotations

import difflib
from typing import Iterable

import click

_FEW = 10


def unknown(kind: str, name: str, known: Iterable[str]) -> click.UsageError:
    """The error for a name that is not in `known`, with the nearest match if there is one."""
    names = list(known)
    choices = f" (choose from {', '.join(names)})"
    if not name:
        return click.UsageError(f"no {kind} given{choices}")
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f". Did you mean '{near[0]}'?" if near else ""
    if len(names) <= _FEW or not near:
        hint += choices
    return click.UsageError(f"unknown {kind} '{name}'{hint}")


def unknown_kernel(name: str) -> click.UsageError:
    """The error for a name in a chain that is not a kernel."""
    return click.UsageError(
        f"unknown kernel '{name}' (expected khorig, linux-VERSION[:BUILD], or a path with '/')"
    )
