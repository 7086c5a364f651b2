# SPDX-License-Identifier: BSD-3-Clause
"""Output for pipes, logs and CI."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping, Sequence, TextIO

from khorig.guest.spec import RunSpec
from khorig.mem.untrusted import printable
from khorig.out.text import machine_label, result_lines, scenario_label, summary_lines
from khorig.run.result import RunResult


class PlainRenderer:
    """One block per run, and the running ones after each long silence."""

    def __init__(self, stream: TextIO, verbose: bool = False, silence_s: float = 10.0) -> None:
        """`verbose` shows the guests' consoles as they come."""
        self._silence_s = silence_s
        self._stream = stream
        self._verbose = verbose
        self._total = 0
        self._done = 0
        self._spoke_s = time.monotonic()
        self._running: dict[str, float] = {}  # label, start time

    def begin(self, specs: Sequence[RunSpec]) -> None:
        self._total = len(specs)

    def record(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        label = f"{machine_label(spec)} {scenario_label(spec)}"
        if record["ev"] == "verdict":
            self._running.pop(label, None)
        else:
            self._running.setdefault(label, time.monotonic())
        if self._verbose and (text := verbose_text(record)) is not None:
            self._print(f"{machine_label(spec):<16}{text}")

    def tick(self) -> None:
        now = time.monotonic()
        if self._running and now - self._spoke_s >= self._silence_s:
            running = ", ".join(f"{label} {now - at:.0f} s" for label, at in self._running.items())
            self._print(f" {self._done}/{self._total} done  running: {running}")

    def result(self, result: RunResult) -> None:
        self._done += 1
        for line in result_lines(result):
            self._print(line)

    def end(self, results: Sequence[RunResult], folder: Path, wall_s: float) -> None:
        for line in summary_lines(results, folder, wall_s):
            self._print(line)

    def _print(self, line: str) -> None:
        self._spoke_s = time.monotonic()
        print(line, file=self._stream, flush=True)


def verbose_text(record: Mapping[str, Any]) -> str | None:
    """A journal record as shown by --verbose, or None."""
    kind = record["ev"]
    if kind == "console":
        text = str(record["text"])
    elif kind == "guest":
        event = record["event"]
        text = f"[{event['ev']}] " + " ".join(
            f"{name}={value}" for name, value in event.items() if name not in ("ev", "gen", "t")
        )
    elif kind == "stop":
        text = f"[host] {record['at']}: checked in {record['host_ms']} ms"
    elif kind == "hook":
        text = "[host] " + "; ".join(map(str, record["lines"]))
    elif kind == "devices" and (record["left_on"] or record["unread"]):
        notes = [f"left on: {on['device']}, {on['why']}" for on in record["left_on"]]
        notes += [f"not read: {what}" for what in record["unread"]]
        text = "[host] " + "; ".join(notes)
    elif kind == "pci" and (record["changes"] or record["unread"]):
        notes = [change["text"] for change in record["changes"]]
        notes += [f"not read: {record['unread']}"] * bool(record["unread"])
        text = f"[host] PCI at {record['at']}, since {record['since']}: " + "; ".join(notes)
    else:
        return None
    return printable(text)
