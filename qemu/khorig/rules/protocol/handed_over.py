# SPDX-License-Identifier: BSD-3-Clause
"""A memfd that user space hands over."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.guest.event import GuestEvent


@dataclass(frozen=True)
class HandedOver:
    """What user space says of it in the event `memfd`."""

    session: str
    token: int
    name: str
    size: int  # bytes
    seals: int
    position: int

    @staticmethod
    def of(event: GuestEvent) -> HandedOver:
        """Raises EventFieldError."""
        return HandedOver(
            event.text("session"),
            event.address("token"),
            event.text("name"),
            event.number("size"),
            event.address("seals"),
            event.number("position"),
        )

    @property
    def owner(self) -> str:
        """As the owners of pages are named."""
        return f"LUO/{self.session}/{self.token:#x}"
