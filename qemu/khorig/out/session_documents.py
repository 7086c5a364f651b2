# SPDX-License-Identifier: BSD-3-Clause
"""The documents of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from khorig.run.artifacts import write_whole
from khorig.run.result import RunResult

# Imported on demand, so that QEMU starts earlier.


class SessionDocuments:
    """verdict.json of each run; results.json, junit.xml, results.ktap and the report of a session
    (see khorig.run.outputs.Documents)."""

    def write_run(self, folder: Path, result: RunResult) -> None:
        """See khorig.run.outputs.Documents."""
        from khorig.out.documents import verdict_document

        write_whole(folder / "verdict.json", verdict_document(result))

    def write_session(self, folder: Path, results: Sequence[RunResult]) -> None:
        """See khorig.run.outputs.Documents."""
        from khorig.out.documents import results_document
        from khorig.out.junit import junit_document
        from khorig.out.ktap import ktap_document

        write_whole(folder / "results.json", results_document(results))
        write_whole(folder / "junit.xml", junit_document(results))
        write_whole(folder / "results.ktap", ktap_document(results))

    def write_report(self, folder: Path) -> None:
        """See khorig.run.outputs.Documents."""
        from khorig.out.report.page import write_report

        write_report(folder)
