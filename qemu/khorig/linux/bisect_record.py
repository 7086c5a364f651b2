# SPDX-License-Identifier: BSD-3-Clause
"""What came of the commits that were tested."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from khorig.linux.bisect_judgement import Outcome
from khorig.mem.untrusted import Untrusted, read_object, text, typed

_FILE = "steps.jsonl"
_LARGEST = 1 << 20  # bytes of a line


@dataclass(frozen=True)
class StepRecord:
    """One tested commit."""

    commit: str
    subject: str
    outcome: Outcome
    why: str  # one line
    rule: str = ""  # that is violated
    lines: tuple[str, ...] = ()  # the verdict's text, of a run that failed
    rerun: str = ""  # command that repeats that run
    peer: str = ""  # name of the kernel in a chain
    peer_folder: str = ""
    build_s: float = 0.0
    run_s: float = 0.0


def append_record(folder: Path, record: StepRecord) -> None:
    """Raises OSError."""
    line = json.dumps({**asdict(record), "outcome": record.outcome.word})
    with (folder / _FILE).open("a", encoding="utf-8", errors="replace") as sink:
        sink.write(line + "\n")


def read_records(folder: Path) -> dict[str, StepRecord]:
    """By commit, the last of each. A line that was not completed is left out. Raises OSError."""
    try:
        lines = (folder / _FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    records = {}
    for line in lines:
        try:
            record = typed(StepRecord, read_object(line, _LARGEST), outcome=_outcome)
        except Untrusted:
            continue
        records[record.commit] = record
    return records


def _outcome(value: Any) -> Outcome:
    for outcome in Outcome:
        if outcome.word == text(value):
            return outcome
    raise Untrusted(f"{value!r} is no outcome")
