# SPDX-License-Identifier: BSD-3-Clause
"""All who show a session."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from khorig.guest.spec import RunSpec
from khorig.run.outputs import Renderer
from khorig.run.result import RunResult


class Renderers:
    """Tells each renderer, from any thread, one call at a time.

    One that cannot write any more is left alone from then on: a reader of stdout that goes away
    (`| head`) or a full disk behind `>` costs a run nothing of its evidence.
    """

    def __init__(self, renderers: Sequence[Renderer]) -> None:
        self._renderers = list(renderers)
        self._lock = threading.RLock()
        self.error: OSError | None = None  # the first

    def begin(self, specs: Sequence[RunSpec]) -> None:
        """See Renderer."""
        self._tell(lambda renderer: renderer.begin(specs))

    def record(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        """See Renderer."""
        self._tell(lambda renderer: renderer.record(spec, record))

    def tick(self) -> None:
        """See Renderer."""
        self._tell(lambda renderer: renderer.tick())

    def result(self, result: RunResult) -> None:
        """See Renderer."""
        self._tell(lambda renderer: renderer.result(result))

    def end(self, results: Sequence[RunResult], folder: Path, wall_s: float) -> None:
        """See Renderer."""
        self._tell(lambda renderer: renderer.end(results, folder, wall_s))

    def _tell(self, tell: Callable[[Renderer], None]) -> None:
        with self._lock:
            for renderer in tuple(self._renderers):
                try:
                    tell(renderer)
                except OSError as error:
                    self._renderers.remove(renderer)
                    self.error = self.error or error
