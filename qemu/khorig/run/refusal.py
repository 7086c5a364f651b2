# SPDX-License-Identifier: BSD-3-Clause
"""A handover that a kernel refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Mapping

from khorig.mem.untrusted import typed

_SILENT = "silent"  # qemu/khorig/linux/init/kernel_log.h


@dataclass(frozen=True)
class Refusal:
    """What the kernel reported, in its event `refused`."""

    cause: str  # "compatible-mismatch"
    text: str = ""  # its own words, "" without any

    @staticmethod
    def of_event(event: Mapping[str, Any]) -> Refusal:
        """From an event, whatever its fields hold."""
        values = (event.get(name) for name in ("cause", "text"))
        return Refusal(*(value if isinstance(value, str) else "" for value in values))

    @staticmethod
    def of(record: Any) -> Refusal:
        """From a document. Raises Untrusted."""
        return typed(Refusal, record)

    @property
    def is_silent(self) -> bool:
        """Whether the kernel gave no reason: it booted as if it had been given nothing."""
        return self.cause in ("", _SILENT)

    @property
    def words(self) -> str:
        """Cause and words."""
        return ": ".join(part for part in (self.cause, self.text) if part)

    def json(self) -> dict[str, Any]:
        """For a document."""
        return asdict(self)
