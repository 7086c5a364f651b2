# SPDX-License-Identifier: BSD-3-Clause
"""One rule."""

from __future__ import annotations

import enum
from dataclasses import dataclass

ANY = "*"  # in `problems`: whatever was read, or whatever is wrong with it


class Level(enum.Enum):
    """What it means when a rule does not hold."""

    FAILED = "FAILED"
    WARNING = "warning"


class Kind(enum.Enum):
    """What a rule looks at."""

    STATIC = "one snapshot"
    TEMPORAL = "memory before and after"
    PROTOCOL = "the course of a run"


@dataclass(frozen=True)
class Rule:
    """Something that holds for a sound handover."""

    id: str  # "KHR-I001", never reused
    title: str  # one line, as a statement that holds
    meaning: str
    reason: str
    bugs: tuple[str, ...]  # of the catalogue of real bugs
    next_step: str
    # (what is read, what is wrong with it), as the decoder names them; what no rule names in
    # full goes to the first that names it with ANY.
    problems: tuple[tuple[str, str], ...] = ()
    needs: str = ""  # what a snapshot must have for the rule to be checked; "" for any handover
    level: Level = Level.FAILED
    kind: Kind = Kind.STATIC
