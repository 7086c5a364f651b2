# SPDX-License-Identifier: BSD-3-Clause
"""One way in which a defective kernel leaves a handover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from khorig.run.tamper.target import Target


@dataclass(frozen=True)
class Damage:
    """`apply` edits guest memory and returns one line about the change. Raises CannotTamper if the
    handover lacks what it needs."""

    name: str
    what: str  # one line, for people
    apply: Callable[[Target], str]
    stop: str = "sealed"  # of khorig
    generation: int = 1
    # Whether the judge sees what was damaged: else the damage comes after it has looked, as from a
    # device, or from a kernel between two stops.
    seen: bool = True
