# SPDX-License-Identifier: BSD-3-Clause
"""Output for a terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping, Sequence, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from khorig.guest.spec import RunSpec
from khorig.out.plain import verbose_text
from khorig.out.text import machine_label, result_lines, scenario_label, summary_lines
from khorig.run.result import RunResult

_STYLES = {
    "PASS": "bold green",
    "SKIP": "bold yellow",
    "FAIL": "bold red",
    "CRASH": "bold red",
    "HANG": "bold red",
    "INFRA": "bold magenta",
}
_REFRESH_S = 0.1
_LABEL = 12  # columns


class LiveRenderer:
    """Results, and below them the state of every running machine."""

    def __init__(self, stream: TextIO, verbose: bool = False) -> None:
        """`verbose` shows the guests' consoles as they come."""
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._verbose = verbose
        self._running: dict[str, str] = {}
        self._total = 0
        self._done = 0
        self._began_s = 0.0
        self._drawn_s = 0.0

    def begin(self, specs: Sequence[RunSpec]) -> None:
        self._total = len(specs)
        self._began_s = time.monotonic()
        self._live.start()

    def record(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        key = f"{machine_label(spec)}  {scenario_label(spec)}"
        if record["ev"] == "verdict":
            self._running.pop(key, None)
        else:
            self._running[key] = _doing(spec, record, self._running.get(key, "starting QEMU"))
        if self._verbose and (text := verbose_text(record)) is not None:
            self._console.print(Text(f"{machine_label(spec):<16}{text}", style="dim"))
        if record["ev"] == "verdict" or time.monotonic() - self._drawn_s >= _REFRESH_S:
            self._draw()

    def tick(self) -> None:
        self._draw()

    def result(self, result: RunResult) -> None:
        self._done += 1
        for number, line in enumerate(result_lines(result)):
            text = Text(line)
            if number == 0:
                text.stylize(_STYLES[result.verdict.value], 1, 1 + len(result.verdict.value))
            elif line[2:3] != " ":  # a label; lines without one are indented further
                text.stylize("dim", 0, _LABEL)
            self._console.print(text)

    def end(self, results: Sequence[RunResult], folder: Path, wall_s: float) -> None:
        self._live.update(Text(""), refresh=True)
        self._live.stop()
        for line in summary_lines(results, folder, wall_s):
            self._console.print(Text(line))

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        lines = [f" {self._done}/{self._total} done  {self._drawn_s - self._began_s:.1f} s"]
        lines += [f"   {key}  {doing}" for key, doing in self._running.items()]
        width = self._console.width - 1
        text = Text("\n".join(line[:width] for line in lines), style="cyan")
        self._live.update(text, refresh=True)


def _doing(spec: RunSpec, record: Mapping[str, Any], before: str) -> str:
    if record["ev"] == "stop":
        return f"generation {record['gen']} of {spec.generations}, {record['at']}"
    if record["ev"] != "guest":
        return before
    event = record["event"]
    names = {"boot": "booting", "jump": "jumping", "phase": str(event.get("name")) + " done"}
    if (name := names.get(event["ev"])) is None:
        return before
    return f"generation {event['gen']} of {spec.generations}, {name}"
