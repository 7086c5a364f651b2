# SPDX-License-Identifier: BSD-3-Clause
"""One invariant."""

from __future__ import annotations

import enum
from dataclasses import dataclass

ANY = "*"  # in `problems`: whatever was read, or whatever is wrong with it


class Level(enum.Enum):
    """What it means when an invariant does not hold."""

    FAILED = "FAILED"
    WARNING = "warning"


@dataclass(frozen=True)
class Invariant:
    """A rule that a handover keeps."""

    id: str  # "KHR-I001", never reused
    title: str  # one line, as a statement that holds
    meaning: str
    reason: str
    bugs: tuple[str, ...]  # of the catalogue of real bugs
    next_step: str
    # (what is read, what is wrong with it), as the decoder names them; what no invariant names in
    # full goes to the first that names it with ANY.
    problems: tuple[tuple[str, str], ...] = ()
    needs: str = ""  # what a dump must have for the invariant to be checked; "" for any handover
    level: Level = Level.FAILED
