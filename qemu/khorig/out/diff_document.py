# SPDX-License-Identifier: BSD-3-Clause
"""A difference as JSON."""

from __future__ import annotations

from typing import Any, Sequence

from khorig.mem.memory import PhysRange
from khorig.rules.difference import Difference
from khorig.rules.page_classes import area_of


def difference_document(difference: Difference, runs: int) -> dict[str, Any]:
    """Output of `khorig diff --json`. Addresses are strings, ranges [begin, size]."""
    lost = difference.lost
    found = difference.runs(lost)
    pages = difference.pages
    return {
        "schema": 1,
        "same": difference.same,
        "a": str(difference.a.path),
        "b": str(difference.b.path),
        "root": None if difference.root is None else f"{difference.root:#x}",
        "other_root": None if difference.other_root is None else f"{difference.other_root:#x}",
        "compared_bytes": pages.compared,
        "classes": {
            change.kind.value: {
                "pages": change.total,
                "changed": len(change.frames),
                "must_stay": change.must_stay,
                "rule": change.rule,
                "ranges": _ranges(area_of(change.frames, difference.page_shift)),
            }
            for change in difference.changes
        },
        "lost": len(lost),
        "missing": len(difference.missing),
        "runs": [
            {
                "begin": f"{run.area.begin:#x}",
                "size": run.area.size,
                "changed": run.changed,
                "owner": difference.classes.owner(run.area.begin >> difference.page_shift),
            }
            for run in found[:runs]
        ],
        "only_a": _ranges(pages.only_a),
        "only_b": _ranges(pages.only_b),
        "unreadable": _ranges(pages.unreadable),
        "notes": list(difference.notes),
    }


def _ranges(ranges: Sequence[PhysRange]) -> list[list[str]]:
    return [[f"{r.begin:#x}", f"{r.size:#x}"] for r in ranges]
