# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong with bytes in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


class Error(Exception):
    """Base of every exception that khorig raises on purpose; `str` of it is one line."""


@dataclass(frozen=True)
class Problem:
    """One broken rule of the ABI."""

    id: str  # stable; the names of khocore's ErrorCode: "fdt-magic", "radix-cycle", ...
    address: int  # physical, of what is wrong
    text: str  # one line, both values where two are compared
    subject: str = field(default="", compare=False)  # what was read: "node", "block", "link", ...

    def __str__(self) -> str:
        return f"{self.id} at {self.address:#018x}: {self.text}"


class DecodeError(Error):
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
        return self._given_up or len(self.items) >= self.LIMIT

    def __init__(self, subject: str = "") -> None:
        """`subject` is that of the problems which have none."""
        self.items: list[Problem] = []
        self._subject = subject
        self._given_up = False

    def add(self, id: str, address: int, text: str) -> None:
        """Keeps a problem, unless there are many already."""
        self.keep(Problem(id, address, text))

    def give_up(self, id: str, address: int, text: str) -> None:
        """As `add`, and nothing is kept after it."""
        self.items = self.items[: self.LIMIT - 1]
        self.add(id, address, text)
        self._given_up = True

    def keep(self, problem: Problem) -> None:
        """As `add`, for a problem that exists."""
        if not self.full:
            named = problem if problem.subject else replace(problem, subject=self._subject)
            self.items.append(named)
