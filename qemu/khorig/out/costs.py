# SPDX-License-Identifier: BSD-3-Clause
"""What a handover costs the guest, from its own phases."""

from __future__ import annotations

from typing import Sequence

from khorig.run.result import Phase

# Of one jump, in the order they happen: (phase, what people call it).
JUMP_PHASES = (
    ("serialize", "serialize"),
    ("relocate", "quiesce+relocate"),
    ("early-boot", "early boot"),
    ("restore", "restore"),
)

# What is paid for every page that is handed over.
PAGE_PHASES = (("preserve", "preserve"), ("take-back", "restore"))


def jump_cost(phases: Sequence[Phase]) -> dict[str, int]:
    """Instructions of each part of the most expensive jump; only parts that the run had."""
    jumps: dict[int, dict[str, int]] = {}
    names = dict(JUMP_PHASES)
    for phase in phases:
        if phase.name in names:
            # The old kernel's part counts for the jump into the generation after it.
            jump = phase.generation + (1 if phase.name == "serialize" else 0)
            parts = jumps.setdefault(jump, {})
            parts[phase.name] = parts.get(phase.name, 0) + phase.instructions
    complete = [parts for parts in jumps.values() if "relocate" in parts]
    if not complete:
        return {}
    worst = max(complete, key=lambda parts: sum(parts.values()))
    return {label: worst[name] for name, label in JUMP_PHASES if name in worst}


def start_cost(phases: Sequence[Phase]) -> dict[str, int]:
    """Instructions before the first kernel: of the firmware and of the loader, if there were any."""
    return {phase.name: phase.instructions for phase in phases if phase.generation == 0}


def cost_per_page(phases: Sequence[Phase], name: str) -> float | None:
    """Instructions a page in all phases of that name, or None when there was none."""
    chosen = [phase for phase in phases if phase.name == name and phase.pages]
    pages = sum(phase.pages for phase in chosen)
    return sum(phase.instructions for phase in chosen) / pages if pages else None
