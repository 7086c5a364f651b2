# SPDX-License-Identifier: BSD-3-Clause
"""Boot failures reported by UEFI firmware."""

from __future__ import annotations

from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules

# EDK II messages. Without these the firmware would wait in its shell.
_GIVES_UP = {
    "UEFI Interactive Shell": Verdict.FAIL,
    "BdsDxe: failed to load": Verdict.FAIL,
    "BdsDxe: failed to start": Verdict.FAIL,
    "BdsDxe: No bootable option": Verdict.FAIL,
    "!!!! X64 Exception": Verdict.CRASH,
    "Synchronous Exception at": Verdict.CRASH,
}


class FirmwareMonitor:
    """Scans the console until the first kernel boots."""

    def __init__(self, spec: RunSpec) -> None:
        self._listens = spec.boot == "uefi"

    def on_boot(self) -> None:
        """A kernel booted."""
        self._listens = False

    def on_text(self, text: str) -> list[Finding]:
        """A line of text; a finding if the firmware gives up."""
        if not self._listens:
            return []
        for sign, verdict in _GIVES_UP.items():
            if sign in text:
                self._listens = False
                what = f"firmware did not start the loader: {text[text.index(sign) :]}"
                if verdict is Verdict.CRASH:
                    what = f"exception in firmware or loader: {text[text.index(sign) :]}"
                return [Finding(rules.FIRMWARE, what, verdict=verdict)]
        return []
