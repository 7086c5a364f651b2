# SPDX-License-Identifier: BSD-3-Clause
"""The catalogue of bugs as text and as JSON."""

from __future__ import annotations

import itertools
import json
import textwrap
from typing import Any, Iterator, Mapping

from khorig.rules.bug import Bug, State
from khorig.rules.registry import RULES
from khorig.rules.way import Way

_WIDTH = 100
_LABEL = 9


def catalogue_lines(bugs: Mapping[str, Bug]) -> Iterator[str]:
    """All rows by phase, the counts, and the holes."""
    for phase, rows in itertools.groupby(bugs.values(), lambda bug: bug.phase):
        yield f"{phase}:"
        for bug in rows:
            how = ", ".join(bug.rules) or next((way.means for way in bug.ways), "")
            yield f"  {bug.id:<4} {bug.state.value:<18} {bug.what}  {how}".rstrip()
    yield ""
    yield count_line(bugs)
    yield from hole_lines(bugs)


def count_line(bugs: Mapping[str, Bug]) -> str:
    """How many there are, by state."""
    counts = (
        f"{count} {state.value}"
        for state in State
        if (count := sum(bug.state is state for bug in bugs.values()))
    )
    return f"{len(bugs)} bugs: {', '.join(counts)}"


def hole_lines(bugs: Mapping[str, Bug]) -> Iterator[str]:
    """Rules without a bug, and bugs without a rule."""
    for title, ids in (
        ("rules that no bug of the catalogue reaches", unreached_rules(bugs)),
        ("bugs found by a test and not by a rule", bugs_without_rule(bugs)),
    ):
        if ids:
            text = f"{title}: {', '.join(ids)}"
            yield from textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def unreached_rules(bugs: Mapping[str, Bug]) -> list[str]:
    """Rules that find no bug of the catalogue first."""
    reached = {rule for bug in bugs.values() for rule in bug.rules}
    return [rule for rule in RULES if rule not in reached and not RULES.distribution(rule)]


def bugs_without_rule(bugs: Mapping[str, Bug]) -> list[str]:
    """Bugs that are found, but by no rule over a run."""
    return [bug.id for bug in bugs.values() if bug.state is State.FOUND and not bug.rules]


def bug_lines(bug: Bug) -> Iterator[str]:
    """One row, whole."""
    yield f"{bug.id}: {bug.what}  ({bug.state.value})"
    yield from _field("phase", bug.phase)
    yield from _field("from", bug.origin)
    yield from _field("reason", bug.reason)
    for way in bug.ways:
        yield from _field("made by", way.means)
        for name, value in way.run.items():
            yield from _field("", f"{name}={_plain(value)}")
        if way.is_run:
            found = f"{way.verdict.value} by {way.rule} in generation {way.generation}"
            yield from _field("found", f"{found}, on {', '.join(way.machines)}")
            yield from _field("rule", RULES[way.rule].title)


def _field(label: str, text: str) -> list[str]:
    lead = f"  {label:<{_LABEL}}"
    return textwrap.wrap(lead + text, _WIDTH, subsequent_indent=" " * len(lead)) if text else []


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def bug_record(bug: Bug) -> dict[str, Any]:
    """A row for JSON."""
    return {
        "id": bug.id,
        "phase": bug.phase,
        "what": bug.what,
        "from": bug.origin,
        "state": bug.state.value,
        "reason": bug.reason,
        "ways": [_way_record(way) for way in bug.ways],
    }


def _way_record(way: Way) -> dict[str, Any]:
    record: dict[str, Any] = {
        "means": way.means,
        "machines": way.machines,
        "run": dict(way.run),
        "rule": way.rule,
    }
    if way.is_run:
        record |= {"verdict": way.verdict.value, "generation": way.generation}
    return record


def catalogue_document(bugs: Mapping[str, Bug]) -> str:
    """All rows as JSON, schema 1."""
    document = {
        "schema": 1,
        "bugs": [bug_record(bug) for bug in bugs.values()],
        "rules_without_bug": unreached_rules(bugs),
        "bugs_without_rule": bugs_without_rule(bugs),
    }
    return json.dumps(document, indent=1) + "\n"
