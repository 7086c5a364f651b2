# SPDX-License-Identifier: BSD-3-Clause
"""The memory map that a Linux goes by, as its /proc/iomem has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.mem.memory import PhysRange

_MOST = 4096  # ranges
_WHAT = "event 'memory-map': 'ranges'"


@dataclass
class ToldMap:
    """Its outermost ranges by address, from events that come one after the other."""

    ranges: list[tuple[PhysRange, str]] = field(default_factory=list)  # and their names
    is_whole: bool = False
    is_limited: bool = False  # on purpose: mem=, memmap=, or a kernel after a crash

    def take(self, event: GuestEvent) -> None:
        """An event `memory-map`. Raises EventFieldError."""
        found = event.fields.get("ranges")
        if not isinstance(found, list) or len(self.ranges) + len(found) > _MOST:
            raise EventFieldError(f"{_WHAT} is no list, or has more than {_MOST} in all")
        for item in found:
            if not isinstance(item, list) or len(item) != 3 or not isinstance(item[2], str):
                raise EventFieldError(f"{_WHAT} has {item!r}, expected begin, size and name")
            begin, size = (parse_address(number, _WHAT) for number in item[:2])
            self.ranges.append((PhysRange(begin, size), item[2]))
        self.is_whole = event.fields.get("last") is True
        self.is_limited = event.fields.get("limited") is True
