# SPDX-License-Identifier: BSD-3-Clause
"""Scratch as a Linux tells it by files of its debugfs."""

from __future__ import annotations

from dataclasses import dataclass, field

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.mem.memory import PhysRange

# Linux 7.4 calls it bootmem.
_PARTS = {f"out/{name}_{part}": part for name in ("scratch", "bootmem") for part in ("phys", "len")}
_MOST = 64


@dataclass
class ToldScratch:
    """Areas of which one file has the beginnings and one the sizes."""

    _parts: dict[str, list[int]] = field(default_factory=dict)

    def take(self, event: GuestEvent) -> None:
        """An event `debugfs`. Raises EventFieldError."""
        if event.text("file") in _PARTS:
            self._parts[_PARTS[event.text("file")]] = _addresses(event.text("text"))

    @property
    def areas(self) -> tuple[PhysRange, ...]:
        """As they stand in the array: an empty one is one."""
        begins, sizes = self._parts.get("phys", []), self._parts.get("len", [])
        return tuple(PhysRange(begin, size) for begin, size in zip(begins, sizes))


def _addresses(text: str) -> list[int]:
    """The lines of a file. Raises EventFieldError."""
    try:
        values = [int(line, 16) for line in text.split()[:_MOST]]
    except ValueError:
        raise EventFieldError(f"event 'debugfs': {text[:80]!r} is no list of addresses") from None
    if any(not 0 <= value < 1 << 64 for value in values):
        raise EventFieldError(f"event 'debugfs': {text[:80]!r} is beyond 64 bits")
    return values
