# SPDX-License-Identifier: BSD-3-Clause
"""Errors that are not the guest's."""

from __future__ import annotations

from khorig.mem.errors import Error


class InfraError(Error):
    """QEMU or the host cannot do what is needed; says nothing about the guest."""

    def __init__(self, what: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence


class Interrupted(Error):
    """The user or the system asked to stop; `signal_number` is what they sent."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number
