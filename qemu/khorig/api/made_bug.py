# SPDX-License-Identifier: BSD-3-Clause
"""A bug of the catalogue, made."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.api.rig_result import RigResult
from khorig.rules.bug import Bug
from khorig.rules.finding import Finding, Verdict
from khorig.rules.way import Way


@dataclass(frozen=True)
class MadeBug:
    """One way to make a bug, on one machine: the control and the defective run."""

    bug: Bug
    way: Way
    machine: str
    control: RigResult
    defective: RigResult | None  # None when the control did not pass
    done: str  # what was damaged; "" when nothing was

    @property
    def first(self) -> Finding | None:
        """The first finding of the defective run."""
        if self.defective is None or not self.defective.findings:
            return None
        return self.defective.findings[0]

    @property
    def why_not(self) -> str:
        """Why the bug is not found as the catalogue says; "" when it is."""
        if self.defective is None:
            return f"the control did not pass: {self.control.verdict.value} {self.control.cause}"
        if self.defective.verdict is not self.way.verdict:
            text = f"verdict {self.defective.verdict.value}, expected {self.way.verdict.value}"
            return f"{text} {self.defective.cause}".rstrip()
        first = self.first
        if first is None:
            return "no finding"
        if first.rule != self.way.rule:
            return f"found by {first.rule or 'no rule'}, expected {self.way.rule}: {first.what}"
        if first.generation != self.way.generation:
            return (
                f"found in generation {first.generation}, expected {self.way.generation}: "
                f"{first.what}"
            )
        return ""

    @property
    def is_found(self) -> bool:
        """Whether the control passes and the defective run fails as the catalogue says."""
        return not self.why_not

    @property
    def is_skipped(self) -> bool:
        """Whether the host or the peers lack what it takes."""
        runs = (self.control, self.defective)
        return any(r is not None and r.verdict in (Verdict.INFRA, Verdict.SKIP) for r in runs)
