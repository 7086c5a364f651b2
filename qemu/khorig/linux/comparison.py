# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own handover test and khorig's, side by side."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from khorig.model import RunResult


@dataclass(frozen=True)
class Cost:
    """Of one run. Virtual time is one nanosecond for each instruction, and what the guest waits."""

    wall_s: float  # from starting QEMU to the verdict
    virtual_ns: int  # from reset to the last word of the second kernel
    jump_ns: int  # virtual, from the first kernel's `jump` to the second one's `boot`


def cost_of(result: RunResult) -> Cost:
    """Reads what a run has left. Raises ValueError when it did not come to its end, OSError."""
    times: dict[tuple[str, int], int] = {}
    for line in (Path(result.directory) / "events.jsonl").read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        if record["ev"] == "guest":
            event = record["event"]
            times.setdefault((event["ev"], event["gen"]), event["t"])
    try:
        jump = times["boot", 2] - times["jump", 1]
        return Cost(result.wall_s, times["done", 2], jump)
    except KeyError as error:
        raise ValueError(f"the run has no event {error}") from error


def render_comparison(
    arch: str, linux: Sequence[Cost], khorig: Sequence[Cost], name: str
) -> list[str]:
    """A table with the medians and the ratio."""
    lines = [f"{arch}: cold boot to verdict over one handover, median of {len(linux)} each"]
    lines.append(f"{'':<26}{name:>14}{'khorig':>14}{'ratio':>9}")
    for label, field, scale, unit in (
        ("wall time", "wall_s", 1.0, "s"),
        ("virtual time", "virtual_ns", 1e-6, "ms"),
        ("jump to first words", "jump_ns", 1e-6, "ms"),
    ):
        theirs = statistics.median(getattr(cost, field) for cost in linux) * scale
        ours = statistics.median(getattr(cost, field) for cost in khorig) * scale
        ratio = theirs / ours if ours else float("nan")
        lines.append(f"{label + ', ' + unit:<26}{theirs:>14.2f}{ours:>14.2f}{ratio:>8.1f}x")
    return lines
