# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong with bytes in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One broken rule of the ABI."""

    id: str  # stable; the names of khocore's ErrorCode: "fdt-magic", "radix-cycle", ...
    address: int  # physical, of what is wrong
    text: str  # one line, both values where two are compared

    def __str__(self) -> str:
        return f"{self.id} at {self.address:#018x}: {self.text}"


class DecodeError(Exception):
    """Something cannot be read any further."""

    def __init__(self, id: str, address: int, text: str) -> None:
        self.problem = Problem(id, address, text)
        super().__init__(str(self.problem))


class Problems:
    """Collects problems up to a limit, so that a tree full of garbage does not fill memory."""

    LIMIT = 64

    @property
    def full(self) -> bool:
        """Whether there are so many that going on makes no sense."""
        return len(self.items) >= self.LIMIT

    def __init__(self) -> None:
        self.items: list[Problem] = []

    def add(self, id: str, address: int, text: str) -> None:
        """Keeps a problem, unless there are many already."""
        self.keep(Problem(id, address, text))

    def keep(self, problem: Problem) -> None:
        """As `add`, for a problem that exists."""
        if not self.full:
            self.items.append(problem)
