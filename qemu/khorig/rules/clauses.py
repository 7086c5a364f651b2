# SPDX-License-Identifier: BSD-3-Clause
"""What a verdict consists of. What was to be evaluated and never was is a failure of its own."""

from __future__ import annotations


class Clauses:
    """The clauses of one run, by name and generation."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], None] = {}

    def expect(self, name: str, generation: int) -> None:
        """Says that a clause has to be evaluated."""
        self._open[name, generation] = None

    def evaluated(self, name: str, generation: int) -> None:
        """Says that it was, whatever came of it."""
        self._open.pop((name, generation), None)

    def missing(self) -> list[tuple[str, int]]:
        """(name, generation) of those that were not, in the order they were expected."""
        return list(self._open)
