# SPDX-License-Identifier: BSD-3-Clause
"""Formats that are on Linux's lists and not yet in a release."""

from __future__ import annotations

from khorig.rules.rule import ANY, Rule

FORMAT_RULES = (
    Rule(
        "KHR-I200",
        "components of a composite version are in order",
        "Behind the name in `kho-v4;radix-v1;vmalloc-v1` each component is named once, in "
        "alphabetical order.",
        "A receiver compares the whole string: of another order it accepts nothing.",
        ("A1", "A7"),
        "The message has the string and the one that was expected.",
        ((ANY, "version-order"),),
    ),
)  # fmt: skip
