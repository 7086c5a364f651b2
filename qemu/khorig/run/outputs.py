# SPDX-License-Identifier: BSD-3-Clause
"""Who shows and who keeps what a session does."""

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


class Documents(Protocol):
    """Writes what a session leaves for people and scripts. Called by one thread at a time, each time
    with all that is known so far. Each method raises OSError when there is no room."""

    def write_run(self, folder: Path, result: RunResult) -> None:
        """A run is over; `folder` has its artifacts."""

    def write_session(self, folder: Path, results: Sequence[RunResult]) -> None:
        """After every run, with the results so far."""

    def write_report(self, folder: Path) -> None:
        """After the last run. It is made of what is in the folder already, so a session without it
        has lost nothing. Raises InfraError."""
