# SPDX-License-Identifier: BSD-3-Clause
"""The catalogue of real bugs, out of bugs.toml."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any, Mapping

from khorig.mem.errors import Error
from khorig.rules.bug import Bug, State
from khorig.rules.finding import Verdict
from khorig.rules.way import RUN_OPTIONS, Way, run_options

PATH = Path(__file__).with_name("bugs.toml")
DEFAULT_MACHINES = ("q35", "virt")
_PLAIN = {"rule", "generation", "fault", "damage", "poke", "header", "mutant", "test"}
_BUG = {"id", "what", "from", "state", "reason", "made"}


class CatalogueError(Error):
    """A row that cannot be read."""


@functools.cache
def bugs() -> Mapping[str, Bug]:
    """All rows, by id. Raises CatalogueError, OSError."""
    return read_bugs(PATH.read_text(encoding="utf-8"))


def read_bugs(text: str) -> Mapping[str, Bug]:
    """The rows of a catalogue. Raises CatalogueError, which names the row."""
    found: dict[str, Bug] = {}
    for row in tomllib.loads(text).get("bug", []):
        id = row.get("id", "?")
        try:
            bug = _bug(row)
        except (KeyError, TypeError, ValueError) as error:
            raise CatalogueError(f"bug {id}: {error}") from error
        if bug.id in found:
            raise CatalogueError(f"bug {id} is there twice")
        found[bug.id] = bug
    return found


def _bug(row: Mapping[str, Any]) -> Bug:
    if unknown := set(row) - _BUG:
        raise ValueError(f"unknown key '{min(unknown)}'")
    return Bug(
        id=row["id"],
        what=row["what"],
        origin=row["from"],
        state=State(row["state"]),
        reason=row.get("reason", ""),
        ways=tuple(_way(way) for way in row.get("made", [])),
    )


def _way(row: Mapping[str, Any]) -> Way:
    known = _PLAIN | {"machines", "verdict", "defect"} | set(RUN_OPTIONS)
    if unknown := set(row) - known:
        raise ValueError(f"unknown key '{min(unknown)}'")
    return Way(
        machines=tuple(row.get("machines", DEFAULT_MACHINES)),
        verdict=Verdict(row.get("verdict", "FAIL")),
        defect=run_options(row.get("defect", {})),
        run=run_options({key: row[key] for key in RUN_OPTIONS if key in row}),
        **{key: row[key] for key in _PLAIN if key in row},
    )
