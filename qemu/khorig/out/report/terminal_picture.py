# SPDX-License-Identifier: BSD-3-Clause
"""What is printed about runs, as a picture of a terminal."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Iterator, Sequence

from khorig.out.report.templates import render
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

_COLUMNS = 120
_LABEL = re.compile(r" {1,2}\S+ +| +")  # what the rest of a line is indented by
_MOST_RUNS = 8
_STYLES = {Verdict.CRASH: "fail"}  # where it is not the verdict's name


@dataclass(frozen=True)
class Part:
    """Characters of one line in one style."""

    column: int
    text: str
    style: str  # class of the template


def report_svg(results: Sequence[RunResult]) -> str:
    """The printed results of the runs that did not pass, or of all when all did; at most eight.
    Raises InfraError without the library for templates."""
    wanted = [r for r in results if r.verdict is not Verdict.PASS] or list(results)
    lines = [line for result in wanted[:_MOST_RUNS] for line in _lines(result)]
    return render("terminal.svg.j2", lines=lines)


def _lines(result: RunResult) -> Iterator[list[Part]]:
    style = _STYLES.get(result.verdict, result.verdict.name.lower())
    for number, text in enumerate(result_lines(result)):
        label = _LABEL.match(text)
        indent = label.end() if label else 0
        wrapped = textwrap.wrap(
            text, _COLUMNS, subsequent_indent=" " * indent, break_on_hyphens=False
        )
        for piece, line in enumerate(wrapped):
            end = 0 if piece else indent
            head = "quiet" if number else f"verdict {style}"
            yield [*_parts(line[:end], 0, head), *_parts(line[end:], end, "")]


def _parts(text: str, column: int, style: str) -> Iterator[Part]:
    """Split at gaps, which not every viewer keeps."""
    for match in re.finditer(r"\S+(?: \S+)*", text):
        yield Part(column + match.start(), match.group(), style)
