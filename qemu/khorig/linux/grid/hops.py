# SPDX-License-Identifier: BSD-3-Clause
"""Ways from one kernel to another."""

from __future__ import annotations

import enum
from typing import Sequence

from khorig.guest.chain_run import is_linux
from khorig.guest.spec import KHORIG


class Hops(enum.Enum):
    """The chain between two kernels A and B; the value is what is printed."""

    DIRECT = "direct"
    THROUGH_KHORIG = "through khorig"
    FOUR = "four hops"

    @property
    def form(self) -> str:
        """ "A,B,A,B"."""
        return ",".join(self.chain("A", "B"))

    def chain(self, first: str, second: str) -> tuple[str, ...]:
        """The kernels in boot order."""
        if self is Hops.DIRECT:
            return (first, second)
        if self is Hops.THROUGH_KHORIG:
            return (first, KHORIG, second)
        return (first, second, first, second)

    def applies(self, first: str, second: str) -> bool:
        """khorig itself needs no khorig in between."""
        return self is not Hops.THROUGH_KHORIG or (is_linux(first) and is_linux(second))

    @staticmethod
    def of(kernels: Sequence[str]) -> tuple[Hops, str, str] | None:
        """The way and its two kernels; None for any other chain."""
        for hops in Hops:
            if len(kernels) > 1 and hops.chain(kernels[0], kernels[-1]) == tuple(kernels):
                return hops, kernels[0], kernels[-1]
        return None
