# SPDX-License-Identifier: BSD-3-Clause
"""What UEFI firmware says when it does not get on."""

from __future__ import annotations

from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules

# Texts of EDK II, and whose fault each is. Without this the firmware's shell would wait for a person.
_GIVES_UP = {
    "UEFI Interactive Shell": Verdict.FAIL,
    "BdsDxe: failed to load": Verdict.FAIL,
    "BdsDxe: failed to start": Verdict.FAIL,
    "BdsDxe: No bootable option": Verdict.FAIL,
    "!!!! X64 Exception": Verdict.CRASH,
    "Synchronous Exception at": Verdict.CRASH,
}


class FirmwareWords:
    """Reads the console until a kernel is there; then the firmware has nothing to say any more."""

    def __init__(self, spec: RunSpec) -> None:
        self._listens = spec.boot == "uefi"

    def on_boot(self) -> None:
        """A kernel has said its first words."""
        self._listens = False

    def on_text(self, text: str) -> list[Finding]:
        """A line of text; a reason to end the run when the firmware gives up."""
        if not self._listens:
            return []
        for sign, verdict in _GIVES_UP.items():
            if sign in text:
                self._listens = False
                what = f"the firmware does not start the loader: {text[text.index(sign) :]}"
                if verdict is Verdict.CRASH:
                    what = f"exception in the firmware or the loader: {text[text.index(sign) :]}"
                return [Finding(rules.FIRMWARE, what, verdict=verdict)]
        return []
