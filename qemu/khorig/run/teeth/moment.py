# SPDX-License-Identifier: BSD-3-Clause
"""The stops of a run, by what a kernel may still write to at each."""

from __future__ import annotations

import enum

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.spec import RunSpec


class Moment(enum.Enum):
    """A kind of stop; its value is why a change from there on is wrong."""

    KHORIG_SEALED = "khorig has sealed it: nobody writes to it before the next kernel took it back"
    KHORIG_ENTRY = "khorig was handed it and must not write to it before it has taken it back"
    KHORIG_KEEPS = "khorig has checked it and hands it on as it was handed over"
    KHORIG_RELAYS = "it is another kernel's, and khorig hands it on untouched"
    LINUX_MADE = "Linux wrote it once, before its user space stopped"
    LINUX_KEEPS = "Linux has revived it and hands it on as it was handed over"
    LINUX_SEALED = "Linux has nothing left to do but to jump"


def moment_of(spec: RunSpec, generation: int, at: str) -> Moment | None:
    """None where everything may change: before there is a handover, and where the last kernel has
    looked at all that it was handed."""
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
