# SPDX-License-Identifier: BSD-3-Clause
"""What a Linux did to its memory and CPUs (`--stress`)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from khorig.guest.event import EventFieldError, GuestEvent

_FLAGS = ("compacted", "late", "ok")


@dataclass(frozen=True)
class StressEnd:
    """The numbers of an event `stress`."""

    generation: int
    available: int  # bytes, before
    touched: int  # bytes
    left: int  # bytes free when all was touched
    sizes: int  # of folios, single pages among them
    split: int  # folios
    merged: int  # huge pages
    killed: int  # processes, because there was less memory than the kernel said
    pool_pages: int  # huge pages that were in pools
    pool_bytes: int
    cpus: int  # taken off and on
    compacted: bool
    late: bool  # the time for it ended first
    ok: bool

    @classmethod
    def of(cls, event: GuestEvent) -> StressEnd:
        """Raises EventFieldError."""
        values: dict[str, Any] = {"generation": event.generation}
        for name in (field.name for field in fields(cls)[1:]):
            value = values[name] = event.fields.get(name)
            if name not in _FLAGS:
                event.number(name)
            elif not isinstance(value, bool):
                raise EventFieldError(f"event '{event.kind}': '{name}' is no truth value")
        return cls(**values)

    @property
    def line(self) -> str:
        """One line."""
        why = "" if not self.late else ", then its time was over"
        if self.killed:
            why += f", after {self.killed} processes were killed for want of memory"
        parts = (
            f"touched {self.touched >> 20} of {self.available >> 20} MiB available in folios of "
            f"{self.sizes} sizes{why}",
            f"{self.split} folios split and {self.merged} huge pages merged",
            "memory compacted" if self.compacted else "no compaction",
            f"{self.pool_pages} huge pages ({self.pool_bytes >> 20} MiB) in pools and back",
            f"{self.cpus} CPUs off and on",
            *(() if self.ok else ("something was lost",)),
        )
        return f"generation {self.generation}: stress: " + ", ".join(parts)
