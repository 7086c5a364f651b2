# SPDX-License-Identifier: BSD-3-Clause
"""The stops of a run, by what may still change."""

from __future__ import annotations

import enum

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.spec import RunSpec


class Moment(enum.Enum):
    """A kind of stop; the value is why a later change is wrong."""

    KHORIG_SEALED = "sealed by khorig: no writes until the next kernel has restored it"
    KHORIG_ENTRY = "received by khorig: no writes until it is restored"
    KHORIG_KEEPS = "verified by khorig and handed on unchanged"
    KHORIG_RELAYS = "foreign state, passed on unchanged by khorig"
    LINUX_MADE = "written once by Linux, before this stop"
    LINUX_KEEPS = "revived by Linux and handed on unchanged"
    LINUX_SEALED = "Linux is about to jump"


def moment_of(spec: RunSpec, generation: int, at: str) -> Moment | None:
    """None if everything may change: before the first handover, and after the last kernel has
    verified its own."""
    last = generation == spec.generations
    if is_linux(spec.kernel_of(generation)):
        if last:
            return None
        if at == "restored":
            return Moment.LINUX_MADE if generation == 1 else Moment.LINUX_KEEPS
        return Moment.LINUX_SEALED if at == "sealed" else None
    if at == "sealed" and not last:
        return Moment.KHORIG_SEALED
    if generation == 1:
        return None
    if at == "entry":
        return Moment.KHORIG_ENTRY
    if at == "restored" and not last:
        return Moment.KHORIG_RELAYS if isinstance(spec, ChainRun) else Moment.KHORIG_KEEPS
    return None
