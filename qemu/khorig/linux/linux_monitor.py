# SPDX-License-Identifier: BSD-3-Clause
"""Errors in the kernel log of a Linux."""

from __future__ import annotations

import re

from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import LINUX_LOG

# Messages of Linux 7.2 and 7.3.
_BROKEN = re.compile(r"WARNING:|BUG:|Bad page|Oops")
_BAD = re.compile(r"KHO restore failed|failed to retrieve|broken KHO subnode")
_REFUSED = re.compile(r"disabling KHO revival|handover FDT .* is (invalid|incompatible)")


class LinuxMonitor:
    """Reports error patterns in the kernel log lines printed by /init.

    The words of a refusal are followed by the event `refused`, which has them with their cause:
    they are a finding of their own only if it does not come.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._refusals = spec.expected_refusals
        self._refusing: dict[int, Finding] = {}  # without an event so far, by generation

    def take(self, event: GuestEvent) -> list[Finding]:
        """Raises EventFieldError."""
        if event.kind == "refused":
            self._refusing.pop(event.generation, None)
        if event.kind != "kernel-log":
            return []
        text = event.text("text")
        if event.generation in self._refusals:
            return []
        if _REFUSED.search(text):
            finding = self._finding(event, f"Linux refused the handover: {text}")
            self._refusing.setdefault(event.generation, finding)
            return []
        if _BROKEN.search(text):
            return [self._finding(event, f"Linux log: {text}", Verdict.CRASH)]
        if _BAD.search(text):
            return [self._finding(event, f"Linux log: {text}")]
        return []

    def finish(self) -> list[Finding]:
        """The refusals that user space did not report."""
        return list(self._refusing.values())

    @staticmethod
    def _finding(event: GuestEvent, what: str, verdict: Verdict = Verdict.FAIL) -> Finding:
        return Finding(LINUX_LOG, what, generation=event.generation, verdict=verdict)
