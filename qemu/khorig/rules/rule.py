# SPDX-License-Identifier: BSD-3-Clause
"""One rule."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterable

if TYPE_CHECKING:
    from khorig.kho.snapshot import Snapshot

ANY = "*"  # in `problems`: any subject, or any id


class Level(enum.Enum):
    """Severity of a violation."""

    FAILED = "FAILED"
    WARNING = "warning"


class Kind(enum.Enum):
    """Input of a rule."""

    STATIC = "one snapshot"
    TEMPORAL = "memory before and after"
    PROTOCOL = "the course of a run"


@dataclass(frozen=True)
class Rule:
    """An invariant of a valid handover."""

    id: str  # "KHR-I001", never reused
    title: str  # one line, as a statement that holds
    meaning: str
    reason: str
    bugs: tuple[str, ...]  # ids in bugs.toml
    next_step: str
    # (subject, id) of decoder problems; a pair in no rule goes to the first rule that matches
    # it with ANY.
    problems: tuple[tuple[str, str], ...] = ()
    needs: str = ""  # feature of a snapshot that the rule depends on; "" for any handover
    level: Level = Level.FAILED
    kind: Kind = Kind.STATIC
    # Of a static rule outside of the tree: the violations of a snapshot, as (physical address, one
    # line with what is there and what was expected).
    check: Callable[[Snapshot], Iterable[tuple[int, str]]] | None = None
