# SPDX-License-Identifier: BSD-3-Clause
"""Guest events: `@khorig` lines (docs/abi.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from khorig.mem.errors import Error


class EventFieldError(Error):
    """A field of an event is missing or violates docs/abi.md."""


@dataclass(frozen=True)
class GuestEvent:
    """One `@khorig` line. `fields` is the whole JSON object, untrusted."""

    kind: str
    generation: int
    virtual_ns: int
    host_s: float  # CLOCK_MONOTONIC when the line arrived
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A string field. Raises EventFieldError."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise EventFieldError(f"event '{self.kind}': '{name}' is {value!r}, expected a string")
        return value

    def number(self, name: str) -> int:
        """A count. Raises EventFieldError."""
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise EventFieldError(f"event '{self.kind}': '{name}' is {value!r}, expected a count")
        return value

    def address(self, name: str) -> int:
        """An address or 64-bit value, a string such as "0x1f2c0000". Raises EventFieldError."""
        return parse_address(self.fields.get(name), f"event '{self.kind}': '{name}'")


def parse_address(value: object, what: str) -> int:
    """Parses a hexadecimal string of at most 64 bits. Raises EventFieldError, prefixed with
    `what`."""
    if isinstance(value, str) and value.startswith("0x") and len(value) <= 18:
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise EventFieldError(f'{what} is {value!r}, expected a string such as "0x1000"')
