# SPDX-License-Identifier: BSD-3-Clause
"""Scenario options on the guest's command line."""

from __future__ import annotations

from khorig.guest.spec import RunSpec


def number_option(spec: RunSpec, name: str, default: int) -> int:
    """The value of `name=` in a run's extra options; `default` if absent or not a number, which the
    guest itself refuses."""
    value = default
    for option in spec.extra_options:
        key, _, text = option.partition("=")
        if key == name:
            try:
                value = int(text, 0)
            except ValueError:
                value = default
    return value
