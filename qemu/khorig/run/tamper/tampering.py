# SPDX-License-Identifier: BSD-3-Clause
"""One way to corrupt a handover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from khorig.run.tamper.target import Target


@dataclass(frozen=True)
class Tampering:
    """`apply` modifies guest memory and returns one line about the change. Raises CannotTamper if
    the handover lacks what it needs."""

    name: str
    cause: str  # error with which the next kernel must refuse the handover
    apply: Callable[[Target], str]
