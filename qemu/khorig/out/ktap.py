# SPDX-License-Identifier: BSD-3-Clause
"""KTAP version 1."""

from __future__ import annotations

from typing import Sequence

from khorig.mem.untrusted import printable
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

_DIRECTIVES = {
    Verdict.SKIP: "SKIP",
    Verdict.HANG: "TIMEOUT",
    Verdict.INFRA: "ERROR",
}


def ktap_document(results: Sequence[RunResult]) -> str:
    """results.ktap: one test point per run, preceded by its diagnostics."""
    lines = ["KTAP version 1", f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        lines += ["# " + line.strip() for line in result_lines(result, in_document=True)]
        passed = result.verdict in (Verdict.PASS, Verdict.SKIP)
        point = f"{'ok' if passed else 'not ok'} {number} {result.id}"
        if result.verdict is not Verdict.PASS:
            words = [_DIRECTIVES.get(result.verdict, ""), result.rule, result.cause]
            point += " # " + " ".join(word for word in words if word)
        lines.append(printable(point))
    counts = {verdict: sum(r.verdict is verdict for r in results) for verdict in Verdict}
    skipped, passed_count = counts[Verdict.SKIP], counts[Verdict.PASS]
    failed = len(results) - skipped - passed_count
    lines.append(f"# Totals: pass:{passed_count} fail:{failed} skip:{skipped}")
    return "\n".join(lines) + "\n"
