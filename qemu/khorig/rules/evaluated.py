# SPDX-License-Identifier: BSD-3-Clause
"""Tracks evaluated rules; a rule that was due but not evaluated is a failure."""

from __future__ import annotations

from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import EVALUATED
from khorig.rules.registry import RULES

_STOPS = ("entry", "restored", "settled", "sealed")
_MOST = 10  # findings


class Evaluated:
    """Follows one run, one generation at a time: memory does not grow with their number."""

    def __init__(self) -> None:
        self._generation = 0
        self._done: set[tuple[str, str]] = set()
        self._missing: list[Finding] = []

    def add(self, rule: str, generation: int, at: str) -> None:
        """A rule was evaluated at a stop, with any outcome."""
        self._begin(generation)
        self._done.add((rule, at))

    def _begin(self, generation: int) -> None:
        if generation != self._generation:
            self._generation = generation
            self._done.clear()

    def close(self, generation: int, due: dict[str, tuple[str, ...]]) -> None:
        """Ends a generation. `due`: rules that had to be evaluated in it, by stop."""
        self._begin(generation)
        for at in _STOPS:
            for rule in due.get(at, ()):
                if (rule, at) not in self._done and len(self._missing) < _MOST:
                    what = f"{rule} was not evaluated: {RULES[rule].title}"
                    self._missing.append(Finding(EVALUATED, what, generation=generation, stop=at))

    @property
    def missing(self) -> list[Finding]:
        """Rules due but not evaluated in finished generations, at most the first 10."""
        return list(self._missing)
