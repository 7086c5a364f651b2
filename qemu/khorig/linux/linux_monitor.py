# SPDX-License-Identifier: BSD-3-Clause
"""What a Linux's kernel log says is wrong."""

from __future__ import annotations

import re

from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import LINUX_LOG

# Always on. Linux's own words, versions 7.2 and 7.3.
_BAD = re.compile(
    r"WARNING:|BUG:|Bad page|Oops|KHO restore failed|failed to retrieve|broken KHO subnode"
)
_REFUSED = re.compile(r"disabling KHO revival|handover FDT .* is (invalid|incompatible)")


class LinuxMonitor:
    """Bad patterns in the lines that /init reads back from the kernel log."""

    def __init__(self, spec: RunSpec) -> None:
        self._refusals = spec.expected_refusals

    def take(self, event: GuestEvent) -> list[Finding]:
        """Raises EventFieldError."""
        if event.kind != "kernel-log":
            return []
        text = event.text("text")
        if event.generation in self._refusals:
            return []
        if _REFUSED.search(text):
            return [self._finding(event, f"Linux refused the handover: {text}")]
        if _BAD.search(text):
            return [self._finding(event, f"Linux logs: {text}")]
        return []

    def finish(self) -> list[Finding]:
        """Silence is what is hoped for."""
        return []

    @staticmethod
    def _finding(event: GuestEvent, what: str) -> Finding:
        return Finding(LINUX_LOG, what, generation=event.generation, verdict=Verdict.FAIL)
