# SPDX-License-Identifier: BSD-3-Clause
"""Compares Linux's own handover test with khorig's."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from khorig.run.result import RunResult

_NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Cost:
    """Cost of one run with one handover, from the start of QEMU (the jump: from the first kernel's
    last event) to the second kernel's last event, when it has verified its state."""

    wall_s: float
    jump_s: float  # wall
    instructions: int  # virtual time without idle time; 0 without icount
    jump_instructions: int


def cost_of(result: RunResult) -> Cost:
    """Reads the journal of a run. Raises ValueError if the run is incomplete, OSError."""
    seen: dict[tuple[str, int], tuple[float, Mapping[str, Any]]] = {}
    for line in (Path(result.directory) / "events.jsonl").read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        if record["ev"] == "guest":
            event = record["event"]
            seen.setdefault((event["ev"], event["gen"]), (record["s"], event))
    try:
        jump_s, jump = seen["jump", 1]
        done_s, done = seen["done", 2]
    except KeyError as error:
        raise ValueError(f"the run has no event {error}") from error
    # A kernel's idle time starts at its boot.
    idle = {event["ev"]: event.get("idle_ms", 0) * _NS_PER_MS for event in (jump, done)}
    after = done["t"] - jump["t"] - idle["done"]
    before = jump["t"] - idle["jump"]
    if not result.spec.counted:
        before = after = 0
    return Cost(done_s, done_s - jump_s, before + after, after)


@dataclass(frozen=True)
class _Row:
    label: str
    field: str
    scale: float
    counted: bool


_ROWS = (
    _Row("cold boot to verdict, s", "wall_s", 1.0, False),
    _Row("jump to verdict, s", "jump_s", 1.0, False),
    _Row("cold boot to verdict, M instr.", "instructions", 1e-6, True),
    _Row("jump to verdict, M instr.", "jump_instructions", 1e-6, True),
)


def render_comparison(
    where: str,
    name: str,
    timed: Sequence[Sequence[Cost]],
    counted: Sequence[Sequence[Cost]],
) -> list[str]:
    """A table with medians and ratios. `timed` and `counted` have the runs of Linux, labelled
    `name`, then those of khorig."""
    lines = [f"{where}: one handover, median of {len(timed[0])} timed, {len(counted[0])} counted"]
    lines.append(f"{'':<32}{name:>12}{'khorig':>12}{'ratio':>9}")
    for row in _ROWS:
        theirs, ours = (
            statistics.median(getattr(cost, row.field) for cost in costs) * row.scale
            for costs in (counted if row.counted else timed)
        )
        ratio = theirs / ours if ours else float("nan")
        lines.append(f"{row.label:<32}{theirs:>12.2f}{ours:>12.2f}{ratio:>8.1f}x")
    return lines
