# SPDX-License-Identifier: BSD-3-Clause
"""Outputs of a session: renderers and documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

from khorig.guest.spec import RunSpec
from khorig.run.result import RunResult


class Renderer(Protocol):
    """Shows a running session. Called from several threads with parallel runs, one call at a
    time."""

    def begin(self, specs: Sequence[RunSpec]) -> None:
        """Before the first run."""

    def record(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        """A line of a run's journal."""

    def tick(self) -> None:
        """Called about twice a second."""

    def result(self, result: RunResult) -> None:
        """After each run."""

    def end(self, results: Sequence[RunResult], folder: Path, wall_s: float) -> None:
        """After the last run."""


class Documents(Protocol):
    """Writes the documents of a session. Called by one thread at a time. Each method raises
    OSError, e.g. when the disk is full."""

    def write_run(self, folder: Path, result: RunResult) -> None:
        """After each run; `folder` has its artifacts."""

    def write_session(self, folder: Path, results: Sequence[RunResult]) -> None:
        """After each run, with the results so far."""

    def write_report(self, folder: Path) -> None:
        """After the last run; derived from the other files in the folder. Raises InfraError."""
