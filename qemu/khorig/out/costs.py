# SPDX-License-Identifier: BSD-3-Clause
"""Cost of a handover for the guest, from its phases."""

from __future__ import annotations

from typing import Sequence

from khorig.run.result import Phase

# Phases of one jump, in order: (phase, printed name).
JUMP_PHASES = (
    ("serialize", "serialize"),
    ("relocate", "quiesce+relocate"),
    ("early-boot", "early boot"),
    ("restore", "restore"),
)

# Phases with a cost per page.
PAGE_PHASES = (("preserve", "preserve"), ("take-back", "restore"))


def jump_cost(phases: Sequence[Phase]) -> dict[str, int]:
    """Instructions of each part of the most expensive jump."""
    jumps: dict[int, dict[str, int]] = {}
    names = dict(JUMP_PHASES)
    for phase in phases:
        if phase.name in names:
            # The old kernel's part belongs to the jump into the next generation.
            jump = phase.generation + (1 if phase.name == "serialize" else 0)
            parts = jumps.setdefault(jump, {})
            parts[phase.name] = parts.get(phase.name, 0) + phase.instructions
    complete = [parts for parts in jumps.values() if "relocate" in parts]
    if not complete:
        return {}
    worst = max(complete, key=lambda parts: sum(parts.values()))
    return {label: worst[name] for name, label in JUMP_PHASES if name in worst}


def start_cost(phases: Sequence[Phase]) -> dict[str, int]:
    """Instructions before the first kernel: firmware and loader, if any."""
    return {phase.name: phase.instructions for phase in phases if phase.generation == 0}


def cost_per_page(phases: Sequence[Phase], name: str) -> float | None:
    """Instructions per page over all phases of that name, None if there are none."""
    chosen = [phase for phase in phases if phase.name == name and phase.pages]
    pages = sum(phase.pages for phase in chosen)
    return sum(phase.instructions for phase in chosen) / pages if pages else None
