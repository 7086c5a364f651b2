# SPDX-License-Identifier: BSD-3-Clause
"""One way to damage a handover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from khorig.run.tamper.target import Target


@dataclass(frozen=True)
class Tampering:
    """`apply` changes guest memory and returns one line that says what it changed. It raises
    CannotTamper when the handover lacks what it needs."""

    name: str
    cause: str  # the name of the error that the next kernel must refuse it with
    apply: Callable[[Target], str]
