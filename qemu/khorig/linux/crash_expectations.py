# SPDX-License-Identifier: BSD-3-Clause
"""What a crash kernel must find in /proc/vmcore."""

from __future__ import annotations

from typing import Any

from khorig.guest.chain_run import RESERVED_BYTES, ChainRun
from khorig.guest.event import GuestEvent
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import VMCORE

_PAGE = 4096
_MEMFD_PAGES = 300  # of the rig's session (init/liveupdate.h)


class CrashExpectations:
    """Compares the event `vmcore` with what the kernel that died has reported."""

    def __init__(self, spec: ChainRun) -> None:
        self._spec = spec
        self._dead: GuestEvent | None = None  # its `boot`
        self._has_reported = False

    def take(self, event: GuestEvent) -> list[Finding]:
        """Raises EventFieldError."""
        if event.kind == "boot" and event.generation == self._spec.crash:
            self._dead = event
        if event.kind != "vmcore" or event.generation != self._spec.crash_kernel:
            return []
        self._has_reported = True
        if self._dead is None:
            return []
        pages = RESERVED_BYTES // _PAGE
        if self._spec.session_action(self._spec.crash):
            pages += _MEMFD_PAGES
        wanted: dict[str, tuple[Any, Any]] = {
            "CPUs with registers": (event.number("cpus"), self._dead.number("cpus")),
            "OSRELEASE of vmcoreinfo": (event.text("osrelease"), self._dead.text("version")),
            "pages of the dead kernel checked": (event.number("pages"), pages),
        }
        return [
            Finding(VMCORE, f"{what}: {got}, expected {want}", generation=event.generation)
            for what, (got, want) in wanted.items()
            if got != want
        ]

    def finish(self) -> list[Finding]:
        """A crash kernel that reported nothing."""
        if self._has_reported:
            return []
        number = self._spec.crash_kernel
        what = f"generation {number}, a crash kernel, did not report /proc/vmcore"
        return [Finding(VMCORE, what, generation=number)]
