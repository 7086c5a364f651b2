# SPDX-License-Identifier: BSD-3-Clause
"""Errors of the host."""

from __future__ import annotations

from khorig.mem.errors import Error


class InfraError(Error):
    """An error of QEMU or the host, not of the guest."""

    def __init__(self, what: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence


class Interrupted(Error):
    """Cancelled by signal `signal_number`."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number
