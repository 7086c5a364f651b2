# SPDX-License-Identifier: BSD-3-Clause
"""Selftests of Linux's as text."""

from __future__ import annotations

import textwrap
from typing import Iterator, Sequence

from khorig.guest.chain_run import split_build
from khorig.linux.selftest_outcome import SelftestOutcome, Theirs
from khorig.mem.untrusted import printable
from khorig.out.text import rule_label
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

_WIDTH = 100


def render_selftests(
    results: Sequence[RunResult],
    outcomes: Sequence[SelftestOutcome],
    not_built: Sequence[str] = (),
) -> str:
    """A table for each machine with both verdicts in each line, below it the line of the console
    that the test's own script greps for, and the summary of their run-vmtests.sh. `not_built`: what
    the tree has besides, with the reason."""
    lines: list[str] = []
    for arch, machine in dict.fromkeys((r.spec.arch, r.spec.machine) for r in results):
        mine = [(r, o) for r, o in zip(results, outcomes) if r.spec.machine == machine]
        spec = mine[0][0].spec
        every = range(1, spec.generations + 1)
        chain = ", ".join(split_build(spec.kernel_of(number))[0] for number in every)
        lines += ["", f"{arch} ({machine}): {chain}"]
        lines.append(f"  {'selftest':<22}{'theirs':<8}{'rig':<7}compared across each jump")
        for _, outcome in mine:
            lines += _row(outcome)
    lines += [f"  not built: {text}" for text in not_built]
    return "\n".join(printable(line) for line in [*lines, "", *_summary(outcomes)])


def selftests_ktap(results: Sequence[RunResult], outcomes: Sequence[SelftestOutcome]) -> str:
    """Both verdicts as KTAP, each a test of its own."""
    lines = ["KTAP version 1", f"1..{2 * len(outcomes)}"]
    for number, (result, outcome) in enumerate(zip(results, outcomes)):
        name = f"{outcome.name} {result.spec.arch}/{result.spec.machine}"
        theirs, ours = outcome.theirs, outcome.ours
        skipped = " # SKIP" if theirs in (Theirs.SKIP, Theirs.NOT_RUN) else ""
        mark = "not ok" if theirs is Theirs.FAIL else "ok"
        lines += [f"# {outcome.line}", f"{mark} {2 * number + 1} {name}{skipped}"]
        if outcome.finding is not None:
            lines.append(f"# {outcome.finding.what}")
        skipped = " # SKIP" if ours in (Verdict.SKIP, Verdict.INFRA) else ""
        mark = "ok" if ours is Verdict.PASS or skipped else "not ok"
        lines.append(f"{mark} {2 * number + 2} {name} memory{skipped}")
    return "".join(f"{printable(line)}\n" for line in lines)


def _row(outcome: SelftestOutcome) -> Iterator[str]:
    mark = "   <-- they disagree" if outcome.disagree else ""
    pages = f"{outcome.pages} pages" if outcome.pages else "nothing"
    head = f"  {outcome.name:<22}{outcome.theirs.value:<8}{outcome.ours.value:<7}{pages}{mark}"
    yield head.rstrip()
    yield from _wrapped("theirs: ", outcome.line)
    finding = outcome.finding
    if finding is None or outcome.ours is Verdict.PASS:
        return
    where = ", ".join(part for part in (finding.where, finding.owner) if part)
    rule = rule_label(finding.rule) if finding.rule else ""
    yield from _wrapped("rig: ", f"{rule}: {finding.what}" if rule else finding.what)
    if where:
        yield from _wrapped("rig: ", where)
    if outcome.rerun:
        yield f"      {outcome.rerun}"


def _wrapped(label: str, text: str) -> list[str]:
    head = f"      {label}"
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def _summary(outcomes: Sequence[SelftestOutcome]) -> Iterator[str]:
    counts = {theirs: sum(o.theirs is theirs for o in outcomes) for theirs in Theirs}
    passed, skipped, failed = (counts[t] for t in (Theirs.PASS, Theirs.SKIP, Theirs.FAIL))
    yield f"SUMMARY: PASS={passed} SKIP={skipped} FAIL={failed}"
    good = sum(outcome.ours is Verdict.PASS for outcome in outcomes)
    apart = sum(outcome.disagree for outcome in outcomes)
    yield f"rig: {good} of {len(outcomes)} handovers good, {apart} where they disagree"
