# SPDX-License-Identifier: BSD-3-Clause
"""The end of a bisection as text."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from khorig.linux.bisect import LOG, BisectResult
from khorig.linux.bisect_record import StepRecord
from khorig.linux.bisect_repository import SHOWN
from khorig.mem.untrusted import printable
from khorig.out.text import relative


def bisect_lines(result: BisectResult, folder: Path, describe: Sequence[str]) -> list[str]:
    """`describe` is what git says of the commit that was found, or of those that may be it."""
    files = f"  {'files':<9} {relative(folder)}/{LOG}  steps.jsonl  steps/"
    if result.first_bad is None:
        return [f"no first bad commit: {result.reason}", *_indented(describe), files]
    first = result.first_bad
    lines = [f"first bad commit: {first.commit}", *_indented(describe), *first.lines]
    if not any(line.lstrip().startswith("rerun ") for line in first.lines):
        lines.append(_line("rerun", first.rerun))
    lines.append(_line("kernel", f"{first.peer}: {first.peer_folder}"))
    if result.last_good is not None:
        lines.append(_line("good", _good(result.last_good)))
    if result.bad_end is not None and result.bad_end.rule != first.rule:
        lines.append(_line("note", f"the bad end fails in another way: {result.bad_end.why}"))
        lines.append(_line("", f"--match {result.bad_end.rule or 'TEXT'} tells them apart"))
    return [*lines, files]


def _good(record: StepRecord) -> str:
    return f"its parent {record.commit[:SHOWN]}, {record.peer}: {record.peer_folder}"


def _indented(lines: Sequence[str]) -> list[str]:
    return ["  " + printable(line) for line in lines]


def _line(label: str, text: str) -> str:
    return f"  {label:<9} {text}"
