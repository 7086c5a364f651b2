# SPDX-License-Identifier: BSD-3-Clause
"""Who shows what happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

from khorig.guest.spec import RunSpec
from khorig.run.result import RunResult


class Renderer(Protocol):
    """Shows a session while it goes on. Called from several threads when runs go on side by side,
    one call at a time."""

    def begin(self, specs: Sequence[RunSpec]) -> None:
        """Before the first run."""

    def record(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        """A line of a run's journal."""

    def tick(self) -> None:
        """Time goes by: called about twice a second, also when nothing else happens."""

    def result(self, result: RunResult) -> None:
        """A run is over."""

    def end(self, results: Sequence[RunResult], folder: Path, wall_s: float) -> None:
        """After the last run."""
