# SPDX-License-Identifier: BSD-3-Clause
"""A fault that a run asks for has to fire."""

from __future__ import annotations

from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import RunSpec
from khorig.guest.status import PASS
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import FAULT_FIRED


class FiredFault:
    """A Witness (khorig.run.judging): otherwise a run that passes shows nothing."""

    def __init__(self, spec: RunSpec) -> None:
        armed = isinstance(spec, KhorigRun) and spec.expected_status == PASS
        self._fault = spec.fault if armed and isinstance(spec, KhorigRun) else None

    def take(self, event: GuestEvent) -> list[Finding]:
        """See khorig.run.judging.Witness. Raises EventFieldError."""
        if event.kind == "fault" and event.text("name") == self._fault:
            self._fault = None
        return []

    def finish(self) -> list[Finding]:
        """See khorig.run.judging.Witness."""
        if self._fault is None:
            return []
        return [Finding(FAULT_FIRED, f"fault '{self._fault}' was armed but did not fire")]
