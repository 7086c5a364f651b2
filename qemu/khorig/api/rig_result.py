# SPDX-License-Identifier: BSD-3-Clause
"""What came of a run, for a test."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Sequence

from khorig.api.open_dump import OpenDump, open_dump
from khorig.mem.errors import Error
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

Record = dict[str, Any]


class NotPassed(Error, AssertionError):
    """A run that should have passed; the text is what `khorig run` prints about it."""


class RigResult(RunResult):
    """A RunResult with access to the artifacts of the run."""

    @staticmethod
    def of(result: RunResult) -> RigResult:
        """The same result."""
        return RigResult(**{field.name: getattr(result, field.name) for field in fields(result)})

    def __repr__(self) -> str:
        what = f"{self.spec.id}: {self.verdict.value}"
        return f"<{what}{', ' if self.findings else ''}{', '.join(map(repr, self.findings))}>"

    def __str__(self) -> str:
        return "\n".join(result_lines(self)).lstrip()

    @property
    def folder(self) -> Path:
        """Where the artifacts are (docs/library.md); none when the run was skipped."""
        return Path(self.directory)

    @cached_property
    def records(self) -> Sequence[Record]:
        """All of events.jsonl, in order: "ev" is the kind, "s" the seconds since the start of the
        run. Raises OSError when nothing ran."""
        lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def events(self, kind: str, generation: int | None = None) -> list[Record]:
        """The guest's own events of one kind ("boot", "stop", "restored": docs/abi.md), in order;
        of all generations or one. Raises OSError when nothing ran."""
        found = [record["event"] for record in self.records if record["ev"] == "guest"]
        return [e for e in found if e["ev"] == kind and generation in (None, e["gen"])]

    def dump(self, stop: str, generation: int | None = None) -> OpenDump:
        """Guest RAM at a stop ("sealed", "entry", "restored", or "end" of a run that failed) of a
        generation, by default of the first that has an image. To be closed.

        Raises Error when there is none: passing runs keep images when `keep` asks for it, a failed
        one only that of its end, or in `recorded` all when `record` asks for it.
        """
        wanted = f"gen{'[0-9]*' if generation is None else generation}.{stop}.ram.zst"
        for folder in (self.folder, self.folder / "recorded"):
            found = sorted(folder.glob(wanted), key=lambda path: int(path.name[3:].split(".")[0]))
            if found:
                return open_dump(found[0])
        raise Error(f"no image {wanted} in {self.folder}; run with keep=True")

    def expect_pass(self) -> RigResult:
        """The result itself. Raises NotPassed with what a user would read for any other verdict."""
        __tracebackhide__ = True
        if self.verdict is not Verdict.PASS:
            raise NotPassed(str(self))
        return self
