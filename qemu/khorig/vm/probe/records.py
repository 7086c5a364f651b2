# SPDX-License-Identifier: BSD-3-Clause
"""What the probe reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AccessKind = Literal["fetch", "store"]


@dataclass(frozen=True)
class Access:
    """A fetch or a store of a CPU. `physical` is None outside of RAM; `instruction` counts those
    of all CPUs since QEMU started, up to the end of the block that made the access."""

    cpu: int
    pc: int
    virtual: int
    physical: int | None
    instruction: int


@dataclass(frozen=True)
class Store:
    """A store to a watched page: `size` bytes, as they were and as the store left them."""

    cpu: int
    pc: int
    virtual: int
    physical: int
    size: int
    before: bytes
    after: bytes
    instruction: int


@dataclass(frozen=True)
class Outside:
    """Accesses outside of the given ranges: how many, and the first."""

    count: int
    first: Access | None


@dataclass(frozen=True)
class ProbeStop:
    """A CPU waits at an instruction until `Probe.resume`. `kind` is "fetch" or "address";
    `physical` is None where the probe does not know it (an address stop). `instruction` counts
    those of all CPUs, with a probe that counts."""

    kind: str
    cpu: int
    pc: int
    physical: int | None
    instruction: int = 0
